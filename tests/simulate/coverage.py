"""How often an interval holds the truth, over many simulated runs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
from tests.simulate.processes import MS, correlated_stream, stalling_server

from tokenclock.metrics import latency
from tokenclock.metrics.blocks import Blocks
from tokenclock.metrics.confidence import Interval, metric_intervals
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.run_intervals import steady_intervals, whole_run_intervals
from tokenclock.metrics.steady_state import steady_state
from tokenclock.metrics.summary import summarise
from tokenclock.records import Records

__all__ = ["Coverage", "of_rates", "of_server", "of_stream"]

PERCENTILES = (50.0, 90.0, 99.0)
_TRUTH_REQUESTS = 200_000  # of the run whose percentiles are taken for the truth


@dataclass
class Coverage:
    """Runs, runs that gave an interval, and of those the ones in which it held the truth."""

    n_runs: int = 0
    n_given: int = 0
    n_held: int = 0

    def add(self, interval: Interval, truth: float) -> None:
        self.n_runs += 1
        if interval.low is not None and interval.high is not None:
            self.n_given += 1
            self.n_held += interval.low <= truth <= interval.high

    @property
    def share(self) -> float:
        """Of the intervals given, those that held the truth."""
        return self.n_held / self.n_given if self.n_given else math.nan

    @property
    def share_wrong(self) -> float:
        """Of all runs, those that gave an interval without the truth in it."""
        return (self.n_given - self.n_held) / self.n_runs

    def __str__(self) -> str:
        return f"{self.share:.1%} of {self.n_given} (given in {self.n_given / self.n_runs:.0%})"


def of_stream(n_runs: int, n: int, correlation: float, *, seed: int = 0) -> Mapping[str, Coverage]:
    """Of percentiles of an autocorrelated stream, in 30 blocks."""
    found: dict[str, Coverage] = defaultdict(Coverage)
    truth = {p: 100 * MS * math.exp(0.5 * NormalDist().inv_cdf(p / 100)) for p in PERCENTILES}
    for run in range(n_runs):
        values, t_ns = correlated_stream(np.random.default_rng([seed, run]), n, correlation)
        blocks = Blocks(0, float(t_ns[-1]) / 30, 30)
        intervals = metric_intervals(values, t_ns, blocks, PERCENTILES)
        found["mean"].add(intervals.mean, 100 * MS * math.exp(0.125))
        for p in PERCENTILES:
            found[f"p{p:g}"].add(intervals.percentiles[p], truth[p])
    return found


def of_server(n_runs: int, n_requests: int, slots: int, *, seed: int = 0) -> Mapping[str, Coverage]:
    """Of TTFT, TPOT, E2EL and pooled ITL on a server whose stalls hit all streams, by a run's own intervals."""
    found: dict[str, Coverage] = defaultdict(Coverage)
    facts = RunFacts(max_concurrency=slots)
    long = stalling_server(np.random.default_rng([seed, n_runs]), _TRUTH_REQUESTS, slots)
    columns = {"ttft": latency.ttft_ns(long), "tpot": latency.tpot_ns(long), "e2el": latency.e2el_ns(long)}
    columns["itl"] = latency.itl_ns(long)[0]
    truth = {tag: (column.mean(), np.percentile(column, PERCENTILES)) for tag, column in columns.items()}
    for run in range(n_runs):
        records = stalling_server(np.random.default_rng([seed, run]), n_requests, slots)
        intervals = whole_run_intervals(records, facts, summarise(records, facts)).metrics
        for tag, (mean, quantiles) in truth.items():
            found[f"{tag} mean"].add(intervals[tag].mean, mean)
            for p, quantile in zip(PERCENTILES, quantiles, strict=True):
                found[f"{tag} p{p:g}"].add(intervals[tag].percentiles[p], float(quantile))
    return found


def of_rates(
    n_runs: int,
    run: Callable[[np.random.Generator], Records],
    slots: int,
    *,
    truths: Mapping[str, float] = MappingProxyType({}),
    seed: int = 0,
) -> Mapping[str, Coverage]:
    """Of request and output throughput, of whole runs and of their steady windows.

    The truth is that of ``truths`` (name -> per second), where the server's arithmetic says it; else the mean of the
    rates of all the runs: what a run of this size shows of this server in the mean.
    """
    found: dict[str, list[tuple[float, Interval]]] = defaultdict(list)
    facts = RunFacts(max_concurrency=slots)
    for i in range(n_runs):
        records = run(np.random.default_rng([seed, i]))
        summary, steady = summarise(records, facts), steady_state(records, facts)
        whole, window = whole_run_intervals(records, facts, summary), steady_intervals(records, facts, steady)
        for name in ("request_throughput", "output_throughput"):
            found[name].append((getattr(summary.rates, name), whole.rates[name]))
            if window is not None:
                found[f"steady {name}"].append((getattr(steady, name), window.rates[name]))
    covered: dict[str, Coverage] = defaultdict(Coverage)
    for name, runs in found.items():
        truth = truths.get(name, float(np.mean([value for value, _ in runs])))
        for _, interval in runs:
            covered[name].add(interval, truth)
    return covered
