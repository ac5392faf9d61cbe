"""Whether iterations still change while they are timed: a trend over all of them, and the first against the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FEWEST_FOR_TREND", "Drift", "drift"]

FEWEST_FOR_TREND = 8
_MOST_COMPARED = 2000  # evenly spaced values; each pair of them is compared


@dataclass(frozen=True)
class Drift:
    """How a series changes over its course.

    Args:
        n: values.
        p_value: of the Mann-Kendall test: how often a series without trend would look so ordered; None below 8 values.
        change: last against first value of the straight line through the medians of the first and last third, as a
            share of the median; None below 8 values or for a median of 0.
        first_excess: the first value against the median of the rest, as a share of that; None below 3 values.
    """

    n: int
    p_value: float | None
    change: float | None
    first_excess: float | None


def drift(values: npt.NDArray[Any]) -> Drift:
    """Judge a series in the order in which it came.

    Mann-Kendall (Mann 1945, Kendall 1975), two-sided, normal approximation with continuity and tie correction. Of more
    than 2000 values, 2000 evenly spaced ones are taken.

    Args:
        values: shape (n,), in order of time.
    """
    n = len(values)
    series = np.asarray(values, np.float64)
    first_excess = None
    if n >= 3:
        rest = float(np.median(series[1:]))
        first_excess = float(series[0]) / rest - 1 if rest > 0 else None
    if n < FEWEST_FOR_TREND:
        return Drift(n, None, None, first_excess)
    third = n // 3
    early, late, middle = (float(np.median(part)) for part in (series[:third], series[n - third :], series))
    # the middles of the thirds lie (n - third) apart; the whole line is n - 1 long
    change = (late - early) / middle * (n - 1) / (n - third) if middle > 0 else None
    return Drift(n, _mann_kendall(series), change, first_excess)


def _mann_kendall(series: npt.NDArray[np.float64]) -> float:
    if len(series) > _MOST_COMPARED:
        series = series[np.linspace(0, len(series) - 1, _MOST_COMPARED).astype(np.int64)]
    n = len(series)
    score = sum(int(np.sign(series[k + 1 :] - series[k]).sum()) for k in range(n - 1))
    ties = np.unique(series, return_counts=True)[1].astype(np.float64)
    variance = (n * (n - 1) * (2 * n + 5) - float(np.sum(ties * (ties - 1) * (2 * ties + 5)))) / 18
    if variance <= 0:  # all the same
        return 1.0
    z = max(0, abs(score) - 1) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))
