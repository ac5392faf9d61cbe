"""The ratio of two numbers with its interval, on the log scale: from two runs, from many, or from pairs of requests.

* Two runs: the interval of each is turned into one of the ratio by recovering variances (Zou and Donner, 2008), so a
  lopsided interval stays lopsided.
* Two to five runs on a side: their logs are averaged; each side's width is that of the runs' own intervals, or what the
  runs differ by where that is more. What starts of a server differ by is still hardly seen: ``within-run only``.
* From six on a side the run is the sampling unit: Student's t of the logs, of the differences of pairs where the runs
  took turns, else Welch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenclock.compare.estimate import Estimate
from tokenclock.metrics.probability import t_quantile, t_two_sided
from tokenclock.metrics.repeat_intervals import FEWEST_FOR_MEDIAN

__all__ = [
    "FEWEST_RUNS",
    "LogRatio",
    "from_estimates",
    "from_paired_runs",
    "from_runs",
    "mean_of",
    "mean_with_interval",
    "middle",
]

FEWEST_RUNS = FEWEST_FOR_MEDIAN
"""Runs on each side from which on the run is the sampling unit."""

_TAIL = 0.975


@dataclass(frozen=True)
class LogRatio:
    """The natural log of other / base.

    Args:
        value: of the numbers as measured.
        below, above: standard errors towards smaller and towards larger ratios.
        dof: degrees of freedom of both.
    """

    value: float
    below: float
    above: float
    dof: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bounds of the ratio itself."""
        t = t_quantile(_TAIL, self.dof)
        return math.exp(self.value - t * self.below), math.exp(self.value + t * self.above)

    @property
    def ratio(self) -> float:
        """other / base."""
        return math.exp(self.value)

    @property
    def p_value(self) -> float:
        """Chance of a log ratio at least so far from 0 if both were alike, two-sided."""
        towards_one = self.below if self.value > 0 else self.above
        if self.value == 0:
            return 1.0
        return 0.0 if towards_one == 0 else t_two_sided(abs(self.value) / towards_one, self.dof)

    def visible(self, alpha: float, power: float) -> float:
        """The smallest relative difference that would be called with probability ``power`` at that ``alpha``."""
        reach = t_quantile(1 - alpha / 2, self.dof) + t_quantile(max(power, 0.5), self.dof)
        return math.expm1(reach * max(self.below, self.above))


def from_estimates(base: Sequence[Estimate], other: Sequence[Estimate]) -> LogRatio:
    """From one to five runs on each side, by their own intervals.

    Raises:
        ValueError: one of them has no interval.
    """
    left, right = _averaged(base), _averaged(other)
    below = math.hypot(right.below, left.above)
    above = math.hypot(right.above, left.below)
    dof = _welch_dof(max(left.below, left.above), left.dof, max(right.below, right.above), right.dof)
    return LogRatio(right.value - left.value, below, above, dof)


def _averaged(runs: Sequence[Estimate]) -> LogRatio:
    """The mean log of several runs of one side."""
    logs = np.array([math.log(run.value) for run in runs])
    below, above, dof = [], [], math.inf
    for run in runs:
        if run.low is None or run.high is None:
            raise ValueError("a run without an interval")
        t = t_quantile(_TAIL, run.dof)
        below.append(max(0.0, math.log(run.value / run.low)) / t)
        above.append(max(0.0, math.log(run.high / run.value)) / t)
        dof = min(dof, run.dof)
    between = float(logs.std(ddof=1)) / math.sqrt(len(runs)) if len(runs) > 1 else 0.0
    return LogRatio(
        float(logs.mean()),
        max(math.hypot(*below) / len(runs), between),
        max(math.hypot(*above) / len(runs), between),
        dof,
    )


def from_runs(base: Sequence[float], other: Sequence[float]) -> LogRatio:
    """From the values of independent runs, two or more a side (Welch's t of the logs)."""
    left, right = np.log(base), np.log(other)
    errors = [float(side.std(ddof=1)) / math.sqrt(len(side)) for side in (left, right)]
    error = math.hypot(*errors)
    dof = _welch_dof(errors[0], len(left) - 1, errors[1], len(right) - 1)
    return LogRatio(float(right.mean() - left.mean()), error, error, dof)


def from_paired_runs(base: Sequence[float], other: Sequence[float]) -> LogRatio:
    """From the values of as many runs on both sides that took turns, in order of time (Student's t of the pairs)."""
    differences = np.log(other) - np.log(base)
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return LogRatio(float(differences.mean()), error, error, len(differences) - 1)


def mean_of(values: Sequence[LogRatio]) -> LogRatio:
    """The mean of several ratios of pairs of runs, as wide as their own errors or as they differ."""
    logs = np.array([one.value for one in values])
    between = float(logs.std(ddof=1)) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
    own = math.hypot(*(max(one.below, one.above) for one in values)) / len(values)
    error = max(own, between)
    return LogRatio(float(logs.mean()), error, error, min(one.dof for one in values))


def mean_with_interval(runs: Sequence[Estimate]) -> tuple[float, float | None, float | None]:
    """The geometric mean of one side's runs with 95 % bounds; None where a run has none and they are too few."""
    value = middle([run.value for run in runs])
    if len(runs) >= FEWEST_RUNS:
        logs = np.log([run.value for run in runs])
        half = t_quantile(_TAIL, len(runs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(runs))
        return value, value * math.exp(-half), value * math.exp(half)
    if not all(run.has_interval for run in runs):
        return value, None, None
    low, high = _averaged(runs).interval
    return value, low, high


def middle(values: Sequence[float]) -> float:
    """The geometric mean: the number whose log the ratios are made of."""
    return math.exp(sum(map(math.log, values)) / len(values))


def _welch_dof(first: float, first_dof: float, second: float, second_dof: float) -> float:
    """Of the sum of two variances, by Satterthwaite; where both are 0 the smaller of the two."""
    if first == 0 and second == 0:
        return min(first_dof, second_dof)
    return (first**2 + second**2) ** 2 / (first**4 / first_dof + second**4 / second_dof)
