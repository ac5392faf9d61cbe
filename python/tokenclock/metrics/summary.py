"""Distributions and the whole summary of a run. Every percentile rule of the program is in this file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics import latency
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.goodput import Goodput, goodput
from tokenclock.metrics.throughput import Durations, Rates, TokenTotals, durations, rates, token_totals
from tokenclock.records import STATUS_NAMES, Records

__all__ = [
    "STANDARD_PERCENTILES",
    "Distribution",
    "RunSummary",
    "distribution",
    "floor_percentile",
    "linear_percentile",
    "percentile_label",
    "rank_percentile",
    "samples_needed",
    "summarise",
    "weighted_distribution",
]

Array = npt.NDArray[Any]

STANDARD_PERCENTILES: tuple[float, ...] = (50.0, 90.0, 95.0, 99.0, 99.9)
"""Always in the native result, next to those that the user named."""


def percentile_label(percentile: float) -> str:
    """``99.0`` -> ``99``, ``99.9`` -> ``99.9``: the text of a percentile in keys and headings."""
    return str(int(percentile)) if float(percentile).is_integer() else str(percentile)


def _exact(percentile: float) -> Fraction:
    """The percentile as the user typed it: 99.9 is 999/10, not the double just above it."""
    return Fraction(str(percentile))


def samples_needed(percentile: float) -> int:
    """Fewest samples that leave at least one at or beyond the percentile: 100 for p99, 1000 for p99.9, 2 for p50."""
    tail = min(_exact(percentile), 100 - _exact(percentile))
    return 1 if tail <= 0 else -(-100 * tail.denominator // tail.numerator)


def rank_percentile(ordered: Array, percentile: float, cumulated: Array | None = None) -> float | None:
    """The value at rank ``max(1, ceil(p / 100 * N))`` of sorted values; None when there are none.

    Args:
        ordered: sorted values, shape (n,).
        percentile: 0 <= p <= 100.
        cumulated: running total of whole weights, where each value counts that many times.
    """
    total = _total(ordered, cumulated)
    if total == 0:
        return None
    exact = _exact(percentile) * total / 100
    rank = max(1, -(-exact.numerator // exact.denominator))
    return _at(ordered, cumulated, rank - 1)


def linear_percentile(ordered: Array, percentile: float, cumulated: Array | None = None) -> float | None:
    """Linear interpolation between the closest ranks (NumPy's default, the original clients' rule); None when empty."""
    total = _total(ordered, cumulated)
    if total == 0:
        return None
    exact = _exact(percentile) * (total - 1) / 100
    lower = exact.numerator // exact.denominator
    below = _at(ordered, cumulated, lower)
    above = _at(ordered, cumulated, min(lower + 1, total - 1))
    return below + float(exact - lower) * (above - below)


def floor_percentile(ordered: Array, percentile: float, cumulated: Array | None = None) -> float | None:
    """The value at 0-based index ``floor(N * p / 100)``, at most the last (the rule of benchmark.py); None when empty.

    An upper order statistic: with 20 values or fewer P95 is the maximum, with 100 or fewer P99.
    """
    total = _total(ordered, cumulated)
    if total == 0:
        return None
    exact = _exact(percentile) * total / 100
    return _at(ordered, cumulated, min(exact.numerator // exact.denominator, total - 1))


_RULES = {"rank": rank_percentile, "linear": linear_percentile, "floor": floor_percentile}


def _total(ordered: Array, cumulated: Array | None) -> int:
    if cumulated is None:
        return len(ordered)
    return int(cumulated[-1]) if len(cumulated) else 0


def _at(ordered: Array, cumulated: Array | None, index: int) -> float:
    position = index if cumulated is None else int(np.searchsorted(cumulated, index, side="right"))
    return float(ordered[position])


@dataclass(frozen=True)
class Distribution:
    """One metric over its samples. Values are None when there is none: an empty run has no zeros.

    Args:
        tag: name in ``metrics.definitions``.
        n: samples; for weighted values the sum of the weights.
        n_missing: ok requests that have no such value.
        mean, minimum, maximum: in the metric's unit.
        std: population standard deviation (divides by N).
        percentiles: rule (``rank``, ``linear`` or ``floor``) -> percentile -> value.
    """

    tag: str
    n: int
    n_missing: int
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    percentiles: Mapping[str, Mapping[float, float | None]]

    def percentile(self, percentile: float, rule: str = "rank") -> float | None:
        """A percentile that was computed, by its rule."""
        return self.percentiles[rule][float(percentile)]


def distribution(
    tag: str,
    values: Array,
    percentiles: Sequence[float] = (),
    *,
    n_missing: int = 0,
    rules: Sequence[str] = ("rank", "linear"),
) -> Distribution:
    """The distribution of values (NaN = absent, left out and counted as missing); order does not matter."""
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    ordered = np.sort(known)
    n_missing += len(values) - len(known)
    if not len(ordered):
        return _describe(tag, ordered, None, percentiles, n_missing, None, None, rules)
    mean, std = float(np.mean(ordered)), float(np.std(ordered))
    return _describe(tag, ordered, None, percentiles, n_missing, mean, std, rules)


def weighted_distribution(tag: str, values: Array, weights: Array, percentiles: Sequence[float] = ()) -> Distribution:
    """The distribution in which value i counts ``weights[i]`` times (whole numbers, zero leaves it out)."""
    counted = weights > 0
    order = np.lexsort((weights[counted], values[counted]))
    ordered, repeats = values[counted][order], weights[counted][order].astype(np.int64)
    cumulated = np.cumsum(repeats)
    if not len(ordered):
        return _describe(tag, ordered, cumulated, percentiles, 0, None, None)
    mean = float(np.dot(ordered, repeats) / cumulated[-1])
    std = float(np.sqrt(np.dot((ordered - mean) ** 2, repeats) / cumulated[-1]))
    return _describe(tag, ordered, cumulated, percentiles, 0, mean, std)


def _describe(
    tag: str,
    ordered: Array,
    cumulated: Array | None,
    percentiles: Sequence[float],
    n_missing: int,
    mean: float | None,
    std: float | None,
    rules: Sequence[str] = ("rank", "linear"),
) -> Distribution:
    wanted = sorted({float(p) for p in (*STANDARD_PERCENTILES, *percentiles)})
    return Distribution(
        tag=tag,
        n=_total(ordered, cumulated),
        n_missing=n_missing,
        mean=mean,
        std=std,
        minimum=float(ordered[0]) if len(ordered) else None,
        maximum=float(ordered[-1]) if len(ordered) else None,
        percentiles={name: {p: _RULES[name](ordered, p, cumulated) for p in wanted} for name in rules},
    )


@dataclass(frozen=True)
class RunSummary:
    """Everything that can be said of a run's requests; ``wall_*`` divide by the wall time as the originals do."""

    n_scheduled: int
    n_ok: int
    by_status: Mapping[str, int]
    failure_examples: Mapping[str, str]
    durations: Durations
    tokens: TokenTotals
    rates: Rates
    wall_rates: Rates
    goodput: Goodput | None
    wall_goodput: Goodput | None
    distributions: Mapping[str, Distribution] = field(default_factory=dict)


def summarise(records: Records, facts: RunFacts) -> RunSummary:
    """The summary of a run: counts, tokens, rates, goodput, and a distribution per latency.

    ``response_ttft`` and ``response_e2el`` (from the schedule) are there when arrivals had one; ``itl_per_token`` and
    ``tpot_after_first_event`` when any event carried more than one token; ``tokens_per_iteration`` when the server
    reported it.
    """
    spans = durations(records)
    totals = token_totals(records)
    statuses = np.bincount(records.columns["status"], minlength=len(STATUS_NAMES))
    return RunSummary(
        n_scheduled=records.n_requests,
        n_ok=int(records.ok.sum()),
        by_status={name: int(statuses[code]) for code, name in enumerate(STATUS_NAMES) if statuses[code]},
        failure_examples=_failure_examples(records),
        durations=spans,
        tokens=totals,
        rates=rates(records, totals, spans.first_sent_to_last_token_ns),
        wall_rates=rates(records, totals, spans.wall_ns),
        goodput=goodput(records, facts.slos_ms, spans.first_sent_to_last_token_ns),
        wall_goodput=goodput(records, facts.slos_ms, spans.wall_ns),
        distributions=_distributions(records, facts),
    )


def _failure_examples(records: Records) -> dict[str, str]:
    """Kind of failure -> what the first request that failed so was told, with the HTTP status where it is an error."""
    examples: dict[str, str] = {}
    order = np.argsort(records.columns["request_id"], kind="stable")
    for row in order[records.columns["status"][order] != 0]:
        text = _message(records.errors.get(int(row), ""))
        http_status = int(records.columns["http_status"][row])
        if http_status >= 300:
            text = f"HTTP {http_status}: {text}" if text else f"HTTP {http_status} (empty body)"
        if text:
            examples.setdefault(STATUS_NAMES[records.columns["status"][row]], text)
    return examples


def _message(body: str) -> str:
    """The message inside an error body of JSON, else the body as it is."""
    try:
        found = json.loads(body)
    except ValueError:
        return body
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    return found if isinstance(found, str) and found else body


def _distributions(records: Records, facts: RunFacts) -> dict[str, Distribution]:
    ok, asked = records.ok, facts.metric_percentiles
    per_request = {
        "ttft": latency.ttft_ns(records),
        "tpot": latency.tpot_ns(records),
        "e2el": latency.e2el_ns(records),
        "tokens_per_iteration": records.columns["tokens_per_iteration"],
    }
    if facts.loop != "closed":
        per_request["response_ttft"] = latency.response_ttft_ns(records)
        per_request["response_e2el"] = latency.response_e2el_ns(records)
    found = {tag: distribution(tag, column[ok], asked) for tag, column in per_request.items()}
    found["connect"] = distribution("connect", latency.connect_ns(records)[ok & records.present("t_connect_ns")], asked)
    if records.present("t_tls_ns").any():
        shaken = latency.tls_handshake_ns(records)[ok & records.present("t_tls_ns")]
        found["tls_handshake"] = distribution("tls_handshake", shaken, asked)
    gaps, tokens = latency.itl_ns(records)
    found["itl"] = distribution("itl", gaps, asked)
    ok_events = np.repeat(ok, np.diff(records.token_offsets))
    if bool(np.any(records.n_tokens[ok_events] > 1)):
        found["tpot_after_first_event"] = distribution(
            "tpot_after_first_event", latency.tpot_after_first_event_ns(records)[ok], asked
        )
        known = latency.itl_per_token_is_known(records)
        per_token = gaps / np.maximum(tokens, 1)
        found["itl_per_token"] = weighted_distribution(
            "itl_per_token", per_token if known else per_token[:0], tokens if known else tokens[:0], asked
        )
    return found
