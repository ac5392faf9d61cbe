"""95 % confidence intervals for repeated runs of one case, taken as independent (drift says when they are not).

The median's comes from order statistics: the interval between the k-th smallest and the k-th largest value covers the
median with probability 1 - 2 * P(Binomial(n, 1/2) < k); k is the largest that keeps 95 %. It assumes no distribution.
The mean's is a bootstrap-t: resampled means, each in units of its own standard error (Efron, Tibshirani 1993, 12.5).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CONFIDENCE", "FEWEST_FOR_MEAN", "FEWEST_FOR_MEDIAN", "mean_interval", "median_interval"]

CONFIDENCE = 0.95
FEWEST_FOR_MEDIAN = 6
"""With five values the smallest and the largest enclose the median in 93.75 % of cases only."""
FEWEST_FOR_MEAN = 8
"""Below, resamples without spread become frequent and the interval says nothing."""

_RESAMPLES = 1999
_SEED = 1
_MOST_TIMES = 10.0  # a bound so many times the mean, or below it by as much, says nothing
_MOST_AT_ONCE = 4_000_000  # resampled values held in memory


def median_interval(values: npt.NDArray[Any]) -> tuple[float, float] | None:
    """The interval of the median; None for fewer than 6 values.

    Args:
        values: shape (n,), any order.
    """
    n = len(values)
    if n < FEWEST_FOR_MEDIAN:
        return None
    ordered = np.sort(values)
    k = _order(n)
    return float(ordered[k - 1]), float(ordered[n - k])


def _order(n: int) -> int:
    """The largest k with P(Binomial(n, 1/2) < k) <= 2.5 %; at least 1 for n >= 6."""
    if n > 1000:  # the normal approximation is within one rank here
        return max(1, math.floor((n - 1.959964 * math.sqrt(n)) / 2))
    tail, k = 0, 0
    limit = (1 - CONFIDENCE) / 2
    while (tail + math.comb(n, k)) / 2**n <= limit:
        tail += math.comb(n, k)
        k += 1
    return k


def mean_interval(values: npt.NDArray[Any]) -> tuple[float, float] | None:
    """The interval of the mean; None for fewer than 8 values. The same values give the same interval.

    None too where one value is so far from all others that resamples without it hardly vary: of values that cannot be
    below 0, a bound would lie ten times above the mean, or below it by as much.

    Args:
        values: shape (n,), any order.
    """
    n = len(values)
    if n < FEWEST_FOR_MEAN:
        return None
    numbers = np.sort(values).astype(np.float64)
    mean, error = float(numbers.mean()), float(numbers.std(ddof=1)) / math.sqrt(n)
    if error == 0:
        return mean, mean
    draws = np.random.default_rng(_SEED)
    pivots = []
    per_block = max(1, _MOST_AT_ONCE // n)
    for first in range(0, _RESAMPLES, per_block):
        shape = (min(per_block, _RESAMPLES - first), n)
        resampled = numbers[draws.integers(0, n, shape)]
        errors = resampled.std(axis=1, ddof=1) / math.sqrt(n)
        apart = errors > 0
        pivots.append((resampled.mean(axis=1)[apart] - mean) / errors[apart])
    low, high = np.quantile(np.concatenate(pivots), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    bounds = mean - float(high) * error, mean - float(low) * error
    if numbers[0] >= 0 and (bounds[0] * _MOST_TIMES <= mean or bounds[1] > _MOST_TIMES * mean):
        return None
    return bounds
