"""The numbers as ``benchmark_serving`` names and rounds them: ms and s, linear percentiles, rates over wall time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import Distribution, RunSummary, percentile_label
from tokenclock.records import MISSING_NS, Records

__all__ = ["RULE", "detailed_arrays", "serving_face"]

RULE = "linear"


def serving_face(
    summary: RunSummary, facts: RunFacts, created: datetime, extras: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What the ``serving`` console and JSON show, computed once.

    Args:
        summary: of the run.
        facts: what was asked.
        created: when the run started, local time.
        extras: further keys, ``metrics.serving_extras.extra_values``.

    Returns:
        ``percentile_rule``, ``metrics`` and ``percentiles`` that were selected, ``streaming``, ``goodput_asked``, and
        ``values``: every key of the original's file with its unit (None = not measured), and ours next to them.
    """
    spans, wall = summary.durations, summary.wall_rates
    goodput = summary.wall_goodput.request_goodput if summary.wall_goodput else None
    values: dict[str, Any] = {
        "date": created.strftime("%Y%m%d-%H%M%S"),
        "backend": facts.backend,
        "model_id": facts.model,
        "tokenizer_id": facts.tokenizer,
        "num_prompts": facts.num_prompts,
        "request_rate": facts.request_rate if math.isfinite(facts.request_rate) else "inf",
        "burstiness": facts.burstiness,
        "max_concurrency": facts.max_concurrency,
        "duration": None if spans.wall_ns is None else units.ns_to_s(spans.wall_ns),
        "completed": summary.n_ok,
        "failed": summary.n_scheduled - summary.n_ok,
        "total_input_tokens": summary.tokens.isl,
        "total_output_tokens": summary.tokens.osl,
        "request_throughput": wall.request_throughput,
        "request_goodput:": goodput,  # the original's spelling, colon included; its readers look for it
        "request_goodput": goodput,
        "output_throughput": wall.output_throughput,
        "total_token_throughput": wall.total_throughput,
        "user_throughput": wall.user_throughput,
        "avg_decoded_tokens_per_iter": _per_iteration(summary.distributions["tokens_per_iteration"], facts),
    }
    for tag in facts.percentile_metrics:
        values.update(_latency_keys(tag, summary.distributions[tag], facts))
    values.update(extras or {})
    reserved = set(values)
    metadata = {key: text for key, text in facts.metadata.items() if key not in reserved}
    return {
        "percentile_rule": RULE,
        "metrics": list(facts.percentile_metrics),
        "percentiles": [percentile_label(p) for p in facts.metric_percentiles],
        "streaming": facts.streaming,
        "goodput_asked": bool(facts.slos_ms),
        "values": {**values, **metadata},
    }


def _latency_keys(tag: str, found: Distribution, facts: RunFacts) -> dict[str, float | None]:
    keys = {
        f"mean_{tag}_ms": found.mean,
        f"median_{tag}_ms": found.percentile(50, RULE),
        f"std_{tag}_ms": found.std,
        f"min_{tag}_ms": found.minimum,
        f"max_{tag}_ms": found.maximum,
    }
    for percentile in facts.metric_percentiles:
        keys[f"p{percentile_label(percentile)}_{tag}_ms"] = found.percentile(percentile, RULE)
    return {key: None if value is None else units.ns_to_ms(value) for key, value in keys.items()}


def _per_iteration(found: Distribution, facts: RunFacts) -> dict[str, Any] | None:
    if found.n == 0:
        return None
    return {
        "mean": found.mean,
        "min": found.minimum,
        "max": found.maximum,
        "median": found.percentile(50, RULE),
        "std": found.std,
        "percentiles": {f"p{percentile_label(p)}": found.percentile(p, RULE) for p in facts.metric_percentiles},
    }


def detailed_arrays(records: Records) -> dict[str, list[Any]]:
    """The per-request arrays of ``--save-detailed``, in request order: lengths in tokens, times in s.

    A failed request keeps its slot: None where the original writes zero, and its message in ``errors``.
    """
    ok = records.ok
    columns = records.columns
    asked, server = columns["isl_requested"], columns["isl_server"]
    input_lens = np.where(server >= 0, server, asked)
    gaps = np.diff(records.t_token_ns, prepend=MISSING_NS + 1) if records.n_events else records.t_token_ns
    starts, ends = records.token_offsets[:-1], records.token_offsets[1:]
    gaps_s = (gaps / units.NS_PER_S).tolist()
    return {
        "input_lens": [int(n) if n >= 0 else None for n in input_lens],
        "output_lens": [int(n) if good and n >= 0 else None for n, good in zip(columns["osl"], ok, strict=True)],
        "ttfts": _seconds_or_none(latency.ttft_ns(records)),
        "itls": [gaps_s[a + 1 : b] if good else [] for a, b, good in zip(starts, ends, ok, strict=True)],
        "e2els": _seconds_or_none(latency.e2el_ns(records)),
        "generated_texts": records.texts if records.texts is not None else [None] * records.n_requests,
        "errors": [records.errors.get(row, "") for row in range(records.n_requests)],
    }


def _seconds_or_none(values: Any) -> list[float | None]:
    return [None if np.isnan(value) else units.ns_to_s(value) for value in values]
