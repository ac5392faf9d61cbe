"""Parts of a result as JSON holds them: distributions, intervals, and the steady window beside the whole run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenclock.metrics.confidence import Interval, MetricIntervals
from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.run_intervals import RunIntervals, steady_intervals, whole_run_intervals
from tokenclock.metrics.steady_state import SteadyState, steady_state
from tokenclock.metrics.summary import Distribution, RunSummary, percentile_label
from tokenclock.records import Records

__all__ = ["certainty_sections", "confidence_section", "latency_section", "steady_section"]


def certainty_sections(records: Records, facts: RunFacts, summary: RunSummary, *, seed: int = 0) -> dict[str, Any]:
    """``confidence`` and ``steady`` of a result, from the records of a run; ``seed`` of the bootstrap."""
    steady = steady_state(records, facts)
    return {
        "confidence": confidence_section(whole_run_intervals(records, facts, summary, seed=seed)),
        "steady": steady_section(steady, steady_intervals(records, facts, steady, seed=seed)),
    }


def latency_section(found: Distribution) -> dict[str, Any]:
    """One metric's distribution with its unit and formula."""
    definition = DEFINITIONS[found.tag]
    return {
        "title": definition.title,
        "unit": definition.unit,
        "better": definition.better,
        "formula": definition.formula,
        "n": found.n,
        "n_missing": found.n_missing,
        "mean": found.mean,
        "std": found.std,
        "min": found.minimum,
        "max": found.maximum,
        "percentiles": {
            rule: {percentile_label(p): value for p, value in by_percentile.items()}
            for rule, by_percentile in found.percentiles.items()
        },
    }


def confidence_section(found: RunIntervals) -> dict[str, Any]:
    """Intervals by metric; of what has none the bounds are None and ``reason`` says why."""
    return {
        "level": found.level,
        "method": found.method,
        "n_blocks": found.n_blocks,
        "block_ns": found.block_ns,
        "percentile_rule": "rank",
        "latencies": {tag: _metric(tag, intervals) for tag, intervals in found.metrics.items()},
        "throughput": {"unit": "1/s", **{name: _interval(interval) for name, interval in found.rates.items()}},
    }


def _metric(tag: str, found: MetricIntervals) -> dict[str, Any]:
    percentiles = {
        percentile_label(p): {**_interval(interval), "n_effective": interval.n_effective}
        for p, interval in found.percentiles.items()
    }
    return {"unit": DEFINITIONS[tag].unit, "n": found.n, "mean": _interval(found.mean), "percentiles": percentiles}


def _interval(found: Interval) -> dict[str, Any]:
    return {"low": found.low, "high": found.high, "reason": found.reason}


def steady_section(steady: SteadyState, intervals: RunIntervals | None) -> Mapping[str, Any]:
    """The window, how it was chosen, its numbers; without a window ``reason`` and no numbers."""
    window = steady.window
    return {
        "rule": window.rule,
        "reason": window.reason,
        "t_start_ns": window.t_start_ns,
        "t_end_ns": window.t_end_ns,
        "n_requests": len(steady.rows),
        "concurrency": steady.concurrency,
        "latencies": {tag: latency_section(found) for tag, found in steady.distributions.items()},
        "throughput": {
            "unit": "1/s",
            "request_throughput": steady.request_throughput,
            "output_throughput": steady.output_throughput,
        },
        "confidence": None if intervals is None else confidence_section(intervals),
    }
