"""The intervals of a run's numbers, of the whole run or of its steady window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.metrics.blocks import Blocks, time_blocks
from tokenclock.metrics.confidence import LEVEL, Interval, MetricIntervals, metric_intervals, rate_interval
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.in_flight import in_flight
from tokenclock.metrics.steady_state import SteadyState
from tokenclock.metrics.summary import RunSummary
from tokenclock.metrics.work_done import work_per_block
from tokenclock.records import Records

__all__ = ["PERCENTILES", "RunIntervals", "steady_intervals", "whole_run_intervals"]

Array = npt.NDArray[Any]

PERCENTILES: tuple[float, ...] = (50.0, 90.0, 95.0, 99.0, 99.9)
"""Besides those that the user named."""


@dataclass(frozen=True)
class RunIntervals:
    """95 % intervals.

    Args:
        level: confidence, 0.95.
        method: ``time blocks``, or ``independent requests`` where one ran at a time.
        n_blocks, block_ns: the windows of time counted by (ITL and rates of independent requests too).
        metrics: tag -> intervals, in the metric's unit.
        rates: name -> interval, per second.
    """

    level: float
    method: str
    n_blocks: int
    block_ns: float
    metrics: Mapping[str, MetricIntervals] = field(default_factory=dict)
    rates: Mapping[str, Interval] = field(default_factory=dict)


def whole_run_intervals(records: Records, facts: RunFacts, summary: RunSummary, *, seed: int = 0) -> RunIntervals:
    """From the first sending to the last token; ``seed`` of the bootstrap."""
    sent = records.columns["t_sent_ns"][records.present("t_sent_ns")]
    span = summary.durations.first_sent_to_last_token_ns
    start = int(sent.min()) if span is not None else 0
    rates = {
        "request_throughput": summary.rates.request_throughput,
        "output_throughput": summary.rates.output_throughput,
        "total_throughput": summary.rates.total_throughput,
    }
    return _intervals(records, facts, np.flatnonzero(records.ok), (start, start + (span or 0)), rates, seed)


def steady_intervals(records: Records, facts: RunFacts, steady: SteadyState, *, seed: int = 0) -> RunIntervals | None:
    """Within the steady window; None when there is none."""
    window = steady.window
    if window.t_start_ns is None or window.t_end_ns is None:
        return None
    rates = {"request_throughput": steady.request_throughput, "output_throughput": steady.output_throughput}
    return _intervals(records, facts, steady.rows, (window.t_start_ns, window.t_end_ns), rates, seed)


def _intervals(
    records: Records,
    facts: RunFacts,
    rows: Array,
    span_ns: tuple[int, int],
    rates: Mapping[str, float | None],
    seed: int,
) -> RunIntervals:
    e2el = latency.e2el_ns(records)[rows]
    blocks = time_blocks(*span_ns, latency.median_e2el_ns(records))
    alone = len(rows) > 0 and int(in_flight(records).n.max()) == 1
    percentiles = sorted({*PERCENTILES, *(float(p) for p in facts.metric_percentiles)})
    t_sent = records.columns["t_sent_ns"][rows]
    columns = {"ttft": latency.ttft_ns(records)[rows], "tpot": latency.tpot_ns(records)[rows], "e2el": e2el}
    if facts.loop == "open":
        columns["response_ttft"] = latency.response_ttft_ns(records)[rows]
        columns["response_e2el"] = latency.response_e2el_ns(records)[rows]
    by_request = None if alone else blocks
    metrics = {
        tag: metric_intervals(column, t_sent, by_request, percentiles, seed=seed) for tag, column in columns.items()
    }
    gaps, _, t_gap = latency.timed_itl_ns(records)
    inside = blocks.hold(t_gap)
    if not inside.all():
        gaps, t_gap = gaps[inside], t_gap[inside]
    metrics["itl"] = metric_intervals(gaps, t_gap, blocks, percentiles, seed=seed)
    found = {
        name: rate_interval(value, _work(name, records, blocks), blocks, seed=seed) for name, value in rates.items()
    }
    per_user = records.columns["osl"][rows] / np.where(e2el > 0, e2el, np.nan)
    found["user_throughput"] = _per_second(metric_intervals(per_user, t_sent, by_request, (), seed=seed).mean)
    method = "independent requests" if alone else "time blocks"
    return RunIntervals(LEVEL, method, blocks.n, blocks.length_ns, metrics, found)


def _work(name: str, records: Records, blocks: Blocks) -> Array:
    """What a rate counts, of the requests that ended well, in each block: requests, their OSL, or ISL + OSL."""
    counted = records.ok & records.present("t_sent_ns") & records.present("t_last_token_ns")
    if not blocks.n or not counted.any():
        return np.zeros(blocks.n)
    columns = {key: values[counted] for key, values in records.columns.items()}
    osl = np.maximum(columns["osl"], 0).astype(np.float64)
    isl = np.where(columns["isl_server"] >= 0, columns["isl_server"], columns["isl_requested"])
    amounts = {
        "request_throughput": np.ones(len(osl)),
        "output_throughput": osl,
        "total_throughput": osl + np.maximum(isl, 0),
    }[name]
    return work_per_block(amounts, columns["t_sent_ns"], columns["t_last_token_ns"], blocks)


def _per_second(interval: Interval) -> Interval:
    if interval.low is None or interval.high is None:
        return interval
    return Interval(units.per_s(interval.low, 1), units.per_s(interval.high, 1))
