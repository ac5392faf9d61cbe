"""How far a number of one run may lie from what the server does: 95 % intervals for samples that are not independent.

Requests under way together share the server's bad moments. So the run is cut into windows of time (`metrics.blocks`),
and what is uncertain is judged by how the windows differ, not by how many samples there are.

* Percentiles: the share of samples beyond a percentile is a ratio of block counts. Its variance over that of
  independent samples is the design effect; N over it is the *effective N*, less what a t quantile of n_blocks - 1
  degrees of freedom asks for (Korn and Graubard, 1998). The bounds are the order statistics that so many independent
  samples would give (Hutson, 1999), taken from all samples. Neighbouring blocks that agree count as less than two.
* Means: ratio of block sums. A few stalls make block sums lopsided, so the critical values are not Student's t but
  those of 2000 studentised bootstrap samples of the blocks (Hall, 1988). What is resampled are sums per block, by one
  matrix product, so the cost does not depend on the number of samples. Rates likewise, from the work done per block.
* One request at a time: requests count as independent; percentiles are bounded by plain order statistics, means by t.

Where blocks or effective N do not suffice there is no interval, and a reason. Nor is there one of a mean or a rate
that one stall rules: resamples without its block hardly vary, and the studentised ratio grows without bound.
The same seed gives the same intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.blocks import LIFETIMES, MIN_BLOCKS, Blocks
from tokenclock.metrics.probability import rank_bounds, t_quantile
from tokenclock.metrics.summary import rank_percentile
from tokenclock.units import NS_PER_S

__all__ = ["LEVEL", "MIN_PLACES", "Interval", "MetricIntervals", "metric_intervals", "rate_interval", "variance_of_sum"]

Array = npt.NDArray[Any]

LEVEL = 0.95
_TAIL = (1 + LEVEL) / 2
MIN_PLACES = 5
"""Windows of time in which samples beyond a percentile must have come, for their spread to be known at all."""
_N_DRAWN = 2000
_HIGHEST_CRITICAL = 10.0  # of Student's t it is about 2; a block with 99 % of the variance brings it to 10
_MOST_TIMES = 10.0  # a bound so many times the value, or below it by as much, says nothing
_RULES = 0.5  # the share of the variance from which on a block and its neighbour are named as the cause
_Z = 1.959963984540054  # the normal quantile of 0.975


@dataclass(frozen=True)
class Interval:
    """Bounds in the unit of the value; both None with the reason where none can be given.

    Args:
        low, high: the bounds.
        n_effective: independent samples that would know the value as well; of percentiles only.
        reason: why there are no bounds, else empty.
    """

    low: float | None
    high: float | None
    n_effective: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class MetricIntervals:
    """Intervals of one metric: of its mean, and of percentiles by the rule ``rank``."""

    n: int
    mean: Interval
    percentiles: Mapping[float, Interval] = field(default_factory=dict)


def metric_intervals(
    values: Array, t_ns: Array, blocks: Blocks | None, percentiles: Sequence[float], *, seed: int = 0
) -> MetricIntervals:
    """Intervals of the mean and of percentiles of a metric.

    Costs one sort and, per percentile, one pass over the samples beyond it: 5 million samples take about a second.

    Args:
        values: (n,), NaN left out.
        t_ns: int64 (n,), when each sample belongs to.
        blocks: the windows to count by; None: samples are independent.
        percentiles: 0 < p <= 100; of 100 there is no interval.
        seed: of the bootstrap.
    """
    if values.dtype.kind == "f" and np.isnan(values).any():
        known = ~np.isnan(values)
        values, t_ns = values[known], t_ns[known]
    n = len(values)
    if blocks is None:
        index, n_blocks = np.zeros(0, np.int64), n
        lacking = f"{n} independent samples, needs {MIN_BLOCKS}" if n < MIN_BLOCKS else ""
    else:
        index, n_blocks = blocks.of(t_ns), blocks.n
        lacking = _too_few_blocks(blocks) if n else "no samples"
    if lacking:
        none = Interval(None, None, None, lacking)
        return MetricIntervals(n, none, {float(p): none for p in percentiles})
    counts = np.ones(n) if blocks is None else np.bincount(index, minlength=n_blocks).astype(np.float64)
    sums = values.astype(np.float64) if blocks is None else np.bincount(index, weights=values, minlength=n_blocks)
    ordered = np.sort(values)
    beyond = None if blocks is None else _Beyond(values, ordered, index, counts)
    if blocks is None:
        mean = _mean_of_independent(values)
    else:
        mean = _ratio_interval(sums, counts, seed, not_negative=bool(ordered[0] >= 0))
    return MetricIntervals(n, mean, {float(p): _percentile_interval(ordered, p, beyond) for p in percentiles})


def _too_few_blocks(blocks: Blocks) -> str:
    if blocks.n >= MIN_BLOCKS:
        return ""
    return f"{blocks.n} windows of {LIFETIMES} median E2EL, needs {MIN_BLOCKS}: let it run longer"


@dataclass(frozen=True)
class _Beyond:
    """How the samples beyond a percentile are spread over the blocks."""

    values: Array
    ordered: Array
    index: Array
    counts: Array

    def per_block(self, percentile: float) -> Array:
        """float64 (n_blocks,): samples at the percentile and beyond it, on the side where there are fewer."""
        at = rank_percentile(self.ordered, percentile)
        tail = self.values >= at if percentile > 50 else self.values <= at
        return np.bincount(self.index[tail], minlength=len(self.counts)).astype(np.float64)

    def design_effect(self, tail: Array) -> float:
        """Variance of the share that ``tail`` is of all, over what it were of independent samples."""
        n, share = float(self.counts.sum()), float(tail.sum() / self.counts.sum())
        if not 0 < share < 1:
            return 1.0
        return variance_of_sum(tail - share * self.counts) / (n * share * (1 - share))


def variance_of_sum(residuals: Array) -> float:
    """Of the sum of block residuals, where a block may share a bad moment with the next one but not with others."""
    n_blocks = len(residuals)
    alone = float(np.dot(residuals, residuals))
    shared = 2.0 * float(np.dot(residuals[1:], residuals[:-1]))
    return (alone + max(0.0, shared)) * n_blocks / (n_blocks - 1)


def _percentile_interval(ordered: Array, percentile: float, beyond: _Beyond | None) -> Interval:
    p, n = percentile / 100, float(len(ordered))
    if not 0 < p < 1:
        return Interval(None, None, None, "an extreme has no interval")
    inner = outer = n
    if beyond is not None:
        inner, outer = (n / effect for effect in _design_effects(beyond, percentile))
        n_places = int((beyond.per_block(percentile) > 0).sum())
        if n_places < MIN_PLACES:
            reason = f"samples beyond it came in {n_places} of {len(beyond.counts)} windows of time, needs {MIN_PLACES}"
            return Interval(None, None, outer, reason)
    bounds = rank_bounds(inner, p, LEVEL), rank_bounds(outer, p, LEVEL)
    if bounds[0] is None or bounds[1] is None:
        needed = math.ceil(math.log((1 - LEVEL) / 2) / math.log(max(p, 1 - p)))
        return Interval(None, None, outer, f"worth {outer:.0f} independent samples, needs {needed}")
    towards_extreme = bounds[1][1] if percentile > 50 else bounds[1][0]
    low, high = sorted((towards_extreme, bounds[0][0] if percentile > 50 else bounds[0][1]))
    return Interval(_at(ordered, low), _at(ordered, high), outer)


def _design_effects(beyond: _Beyond, percentile: float) -> tuple[float, float]:
    """What the samples of a tail share with each other, for the bound within and for that towards the extreme.

    The spread of a short tail is uncertain itself, so that of the tail twice as long counts where it is larger. And the
    true percentile may lie further out, among samples that share more: for the bound on that side the tail half as
    long counts too. (A run with few stalls has its percentile below them, where requests seem independent.) Both
    include what a t quantile asks for beyond a normal one.
    """
    effects = [1.0, beyond.design_effect(beyond.per_block(percentile))]
    further = []
    if abs(percentile - 50) >= 25:
        longer, shorter = 2 * percentile, percentile / 2
        if percentile > 50:
            longer, shorter = 2 * percentile - 100, percentile / 2 + 50
        effects.append(beyond.design_effect(beyond.per_block(longer)))
        further.append(beyond.design_effect(beyond.per_block(shorter)))
    few_blocks = (t_quantile(_TAIL, len(beyond.counts) - 1) / _Z) ** 2
    return few_blocks * max(effects), few_blocks * max(*effects, *further)


def _at(ordered: Array, share: float) -> float:
    """Between the order statistics around ``share * (N + 1)``, linearly; the first and the last are the ends."""
    place = min(max(share * (len(ordered) + 1) - 1, 0.0), len(ordered) - 1.0)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below]) + (place - below) * (float(ordered[above]) - float(ordered[below]))


def _mean_of_independent(values: Array) -> Interval:
    n = len(values)
    half = t_quantile(_TAIL, n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    mean = float(np.mean(values))
    if values.min() >= 0 and _says_nothing(mean, mean - half, mean + half):
        squares = (values - mean) ** 2
        return Interval(None, None, None, _cause(float(squares.max() / squares.sum()), "requests"))
    return Interval(mean - half, mean + half)


def _says_nothing(value: float, low: float, high: float, critical: float = 0.0) -> bool:
    """Whether bounds of what cannot be below 0 are an artefact: they lie tenfold away, or the critical value ran."""
    if low == high:
        return False
    if low * _MOST_TIMES <= value or high > _MOST_TIMES * value:
        return True
    return critical > _HIGHEST_CRITICAL and (low < value / 2 or high > 2 * value)


def _cause(share: float, of_what: str) -> str:
    if share > _RULES:
        return f"one stall rules the {of_what}: {min(99, int(100 * share))} % of their variance"
    return f"the {of_what} differ too much to bound it"


def _ratio_interval(sums: Array, counts: Array, seed: int, *, not_negative: bool) -> Interval:
    """Of ``sums.sum() / counts.sum()``, by the studentised bootstrap of blocks.

    Args:
        not_negative: what is summed cannot be below 0, as latencies and work; no bound may be then.
    """
    n, n_blocks = float(counts.sum()), len(counts)
    ratio = float(sums.sum()) / n
    residuals = sums - ratio * counts
    error = math.sqrt(variance_of_sum(residuals)) / n
    weights = _block_weights(n_blocks, seed)
    drawn = weights @ np.column_stack([residuals, counts, residuals**2, residuals * counts, counts**2])
    drawn = drawn[drawn[:, 1] > 0]
    off = drawn[:, 0] / drawn[:, 1]  # how far the ratio of the drawn blocks is from that of all
    squares = drawn[:, 2] - 2 * off * drawn[:, 3] + off**2 * drawn[:, 4]
    spread = np.sqrt(np.maximum(squares, 0.0) * n_blocks / (n_blocks - 1)) / drawn[:, 1]
    studentised = off[spread > 0] / spread[spread > 0]
    if not len(studentised):  # blocks that do not differ
        return Interval(ratio, ratio)
    least, most = (float(q) for q in np.quantile(studentised, (1 - _TAIL, _TAIL)))
    low, high = ratio - most * error, ratio - least * error
    if not_negative and _says_nothing(ratio, low, high, max(-least, most)):
        squares = residuals**2
        share = float((squares[1:] + squares[:-1]).max() / squares.sum())
        return Interval(None, None, None, _cause(share, "windows of time"))
    return Interval(low, high)


@lru_cache(maxsize=64)
def _block_weights(n_blocks: int, seed: int) -> Array:
    """float64 (2000, n_blocks): how often each block is drawn in each sample of as many blocks."""
    rng = np.random.default_rng([seed, n_blocks])
    return rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=_N_DRAWN).astype(np.float64)


def rate_interval(value: float | None, work: Array, blocks: Blocks, *, seed: int = 0) -> Interval:
    """The interval of a rate, from how much was done in each block; it always holds the rate as reported.

    Args:
        value: the rate as reported, per second.
        work: float64 (n_blocks,), see `metrics.work_done`; in sum it may be more or less than what the reported rate
            counts, as whole requests or tokens in a window whose edges cut through others.
        blocks: of the span that the rate was taken over.
        seed: of the bootstrap.
    """
    lacking = _too_few_blocks(blocks) if value is not None else "no rate"
    if not lacking and work.sum() == 0:
        lacking = "nothing came"
    if lacking or value is None:
        return Interval(None, None, None, lacking)
    found = _ratio_interval(work, np.full(blocks.n, blocks.length_ns / NS_PER_S), seed, not_negative=True)
    if found.low is None or found.high is None:
        return found
    return Interval(min(found.low, value), max(found.high, value))
