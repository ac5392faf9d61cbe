"""Tokens asked for against tokens got, and who counted them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tokenclock.metrics import client_cost, latency
from tokenclock.metrics.facts import RunFacts
from tokenclock.quality_checks.figure import Figure
from tokenclock.records import OSL_SOURCE_NAMES, Records

__all__ = ["length_figures"]

_ENDED_EARLY = (
    "ignore_eos was sent and the server ended answers all the same: ask for min_tokens in the body too, or raise "
    "its limits of output and context length"
)


def length_figures(records: Records, facts: RunFacts) -> Iterator[Figure]:
    """ISL and OSL, the source of OSL, tokens per event, and prompt tokens out of the server's cache."""
    columns, ok = records.columns, records.ok
    n_ok = int(ok.sum())
    generates = facts.backend not in ("embeddings", "rerank")
    pairs = (("isl", "isl_requested", "isl_server"), ("osl", "osl_requested", "osl"))
    for tag, asked, got in pairs if generates else pairs[:1]:
        found = client_cost.asked_got(records, asked, got)
        source = "server usage" if tag == "isl" else _osl_source(records)
        yield Figure(
            tag,
            found.deviation,
            {
                "source": source if found.n else "not reported",
                "share_exact": found.share_exact,
                "min_deviation": found.min_deviation,
                "max_deviation": found.max_deviation,
                "n": found.n,
            },
            remedy=_ENDED_EARLY if tag == "osl" and facts.ignore_eos and found.got < found.asked else "",
        )
    if n_ok and generates:
        unsure = np.isin(columns["osl_source"][ok], (0, 3))
        yield Figure("osl_source", float(np.mean(unsure)))
    if n_ok and facts.streaming:
        # one token may come without an event of its own: the end-of-text token that usage counts
        carried = latency.tokens_of_events(records)
        n_events = int(np.diff(records.token_offsets)[ok].sum())
        per_event = int(columns["osl"][ok].astype(np.int64).sum()) / n_events if n_events else None
        unsaid = float(np.mean((columns["osl"] - carried > 1)[ok]))
        yield Figure("event_tokens", unsaid, {"tokens_per_event": per_event})
    cached = ok & (columns["cached_tokens"] >= 0) & (columns["isl_server"] > 0)
    if cached.any():
        tokens = int(columns["cached_tokens"][cached].astype(np.int64).sum())
        share = tokens / int(columns["isl_server"][cached].astype(np.int64).sum())
        yield Figure("cached", share, {"tokens": tokens}, verdict=("ok", "") if facts.shared_prefix else None)


def _osl_source(records: Records) -> str:
    codes = np.unique(records.columns["osl_source"][records.ok])
    return " and ".join(OSL_SOURCE_NAMES[int(code)] for code in codes)
