"""Whether a number differs between two sides: the method that the runs allow, the interval, one of four verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tokenclock.compare import ratio
from tokenclock.compare.alike import Pair
from tokenclock.compare.estimate import Estimate
from tokenclock.compare.paired import paired_ratios
from tokenclock.compare.ratio import LogRatio
from tokenclock.compare.run import Run
from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.metrics.offline_definitions import OFFLINE_DEFINITIONS

__all__ = [
    "ALPHA",
    "BETTER",
    "FAMILY",
    "KNOWN",
    "NOT_ENOUGH",
    "NO_DIFFERENCE",
    "POWER",
    "WORSE",
    "Row",
    "judge",
    "rows_of",
]

BETTER, WORSE, NO_DIFFERENCE, NOT_ENOUGH = "better", "worse", "no difference shown", "not enough data"
ALPHA = 0.05
POWER = 0.8
"""The chance with which the smallest visible difference would have been called."""

FAMILY: tuple[str, ...] = (
    *(f"{tag}.{statistic}" for tag in ("ttft", "tpot", "itl", "e2el") for statistic in ("mean", "p50", "p99")),
    *(f"{tag}.{statistic}" for tag in ("response_ttft", "response_e2el") for statistic in ("mean", "p50", "p99")),
    *(
        f"{tag}.{statistic}"
        for tag in ("latency", "device_latency", "generation")
        for statistic in ("mean", "p50", "p99")
    ),
    *("output_throughput", "request_throughput", "user_throughput", "row_throughput", "decode_throughput"),
)
"""Metrics compared unless some are named, where both sides have them."""
KNOWN: tuple[str, ...] = (
    *FAMILY,
    *(name.replace(".p99", f".{tail}") for name in FAMILY if name.endswith(".p99") for tail in ("p90", "p95")),
    *("total_throughput", "goodput"),
)
"""Metrics that can be named."""


@dataclass(frozen=True)
class Row:
    """One metric at one point.

    Args:
        metric: ``ttft.mean``.
        base, other: the numbers, in ns or per second; of several runs the mean of their logs, as a number.
        n_base, n_other: runs behind them.
        found: the ratio with its errors; None where there is none.
        method: what the errors come from; empty where there are none.
        reason: why there are none, else empty.
        p_corrected: after Holm's correction over all metrics of all points; None likewise.
        verdict: of the other side against the base.
        visible: smallest relative difference that would have been called with a chance of 80 %; None likewise.
    """

    metric: str
    base: float
    other: float
    n_base: int
    n_other: int
    found: LogRatio | None
    method: str
    reason: str = ""
    p_corrected: float | None = None
    verdict: str = NOT_ENOUGH
    visible: float | None = None

    @property
    def lower_is_better(self) -> bool:
        """By the definition of the metric."""
        tag = self.metric.partition(".")[0]
        return (DEFINITIONS.get(tag) or OFFLINE_DEFINITIONS[tag]).better == "lower"

    @property
    def ratio(self) -> float:
        """other / base."""
        return self.other / self.base


def rows_of(pair: Pair, metrics: Sequence[str] = FAMILY) -> list[Row]:
    """The metrics that every run of both sides has, not judged yet."""
    runs = (*pair.base, *pair.other)
    names = [name for name in metrics if all(name in run.estimates for run in runs)]
    pairings = _pairings(pair) if min(len(pair.base), len(pair.other)) < ratio.FEWEST_RUNS else []
    return [_row(name, pair, pairings) for name in names]


def _row(name: str, pair: Pair, pairings: Sequence[Mapping[str, LogRatio]]) -> Row:
    base = [run.estimates[name] for run in pair.base]
    other = [run.estimates[name] for run in pair.other]
    found, method, reason = _ratio(name, pair, base, other, pairings)
    middle = [ratio.middle([one.value for one in side]) for side in (base, other)]
    return Row(name, middle[0], middle[1], len(base), len(other), found, method, reason)


def _ratio(
    name: str,
    pair: Pair,
    base: Sequence[Estimate],
    other: Sequence[Estimate],
    pairings: Sequence[Mapping[str, LogRatio]],
) -> tuple[LogRatio | None, str, str]:
    if min(len(base), len(other)) >= ratio.FEWEST_RUNS:
        values = [one.value for one in base], [one.value for one in other]
        if _took_turns(pair):
            ordered = [[run.estimates[name].value for run in _by_time(side)] for side in (pair.base, pair.other)]
            return ratio.from_paired_runs(*ordered), "pairs of runs", ""
        return ratio.from_runs(*values), "runs", ""
    if pairings and all(name in one for one in pairings):
        return ratio.mean_of([one[name] for one in pairings]), "paired requests, within-run only", ""
    lacking = next((one.reason for one in (*base, *other) if not one.has_interval), "")
    if lacking:
        n_base, n_other = len(base), len(other)
        if max(n_base, n_other) > 1:  # then more of them may be what was meant
            lacking += f"; or count the runs, from {ratio.FEWEST_RUNS} of each side on, here {n_base} and {n_other}"
        return None, "", lacking
    counted = "blocks of time" if pair.load.batch_size is None else "iterations"
    return ratio.from_estimates(base, other), f"{counted}, within-run only", ""


def _pairings(pair: Pair) -> list[Mapping[str, LogRatio]]:
    """Of each run with its partner, where the requests are the same ones and the columns are there."""
    if len(pair.base) != len(pair.other):
        return []
    found = []
    for mine, theirs in zip(_by_time(pair.base), _by_time(pair.other), strict=True):
        if mine.own is None or theirs.own is None or mine.workload is None or mine.workload != theirs.workload:
            return []
        if mine.whole_run and theirs.whole_run and mine.own.columns and theirs.own.columns:
            left, right = mine.own.records(), theirs.own.records()
            found.append(paired_ratios(left, right) if left is not None and right is not None else {})
        else:
            return []
    return found


def _by_time(runs: Sequence[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: run.created)


def _took_turns(pair: Pair) -> bool:
    """Whether the runs of both sides were made two and two, one of each side."""
    if len(pair.base) != len(pair.other):
        return False
    runs = [(run.created, side) for side, group in enumerate((pair.base, pair.other)) for run in group]
    times = [created for created, _ in runs]
    if len(set(times)) != len(times) or "" in times:
        return False
    sides = [side for _, side in sorted(runs)]
    return all(one != other for one, other in zip(sides[::2], sides[1::2], strict=True))


def judge(rows: Sequence[Row], min_effect: float) -> list[Row]:
    """The same rows with verdicts.

    The p values of all rows are corrected together (Holm, 1979): the chance that any of them is called a difference
    where none of them is one stays at 5 %.

    Args:
        rows: all of one comparison.
        min_effect: relative difference, such as 0.02, below which nothing is called better or worse.
    """
    tested = sorted((row.found.p_value, i) for i, row in enumerate(rows) if row.found is not None)
    corrected, highest = {}, 0.0
    for rank, (p_value, i) in enumerate(tested):
        highest = max(highest, min(1.0, p_value * (len(tested) - rank)))
        corrected[i] = highest
    return [_judged(row, corrected.get(i), len(tested), min_effect) for i, row in enumerate(rows)]


def _judged(row: Row, p_corrected: float | None, n_tested: int, min_effect: float) -> Row:
    if row.found is None or p_corrected is None:
        return row
    verdict = NO_DIFFERENCE
    if p_corrected < ALPHA and abs(row.ratio - 1) >= min_effect:
        verdict = BETTER if (row.ratio < 1) == row.lower_is_better else WORSE
    visible = max(min_effect, row.found.visible(ALPHA / n_tested, POWER))
    return replace(row, p_corrected=p_corrected, verdict=verdict, visible=visible)
