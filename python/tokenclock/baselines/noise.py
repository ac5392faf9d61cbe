"""How much runs of one thing differ from each other: the spread of a history, without its outliers and its steps.

All values are natural logs of what was measured, so a spread of 0.02 is 2 %.

* Outliers are named by Rosner's generalised test for extreme values (1983) at 1 %, one for each eight runs at most:
  what is more frequent is no outlier but noise that comes in two kinds, and has to count.
* Steps (an improvement, a change that was accepted) are cut out: the stretch that differs most from what is around it,
  where it does so at 1 % by Student's t, with Bonferroni's correction for the stretches tried; then again in each part.
  The spread is taken about the mean of each level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from tokenclock.metrics.probability import beta_cdf, t_quantile, t_two_sided

__all__ = ["FLOOR", "Noise", "levels_of", "median_variance", "noise_of", "outliers_of", "pooled"]

FLOOR = 0.001
"""Smallest spread that is believed: 0.1 %. Fewer runs than that can be alike by luck, or by rounding."""

_LEVEL = 0.01
_RUNS_PER_OUTLIER = 8
_FEWEST_TO_SPLIT = 6
_FEWEST_OF_A_LEVEL = 2


@dataclass(frozen=True)
class Noise:
    """What runs differ by.

    Args:
        sigma: standard deviation of the log of a run, at least FLOOR.
        dof: degrees of freedom it was estimated with.
        n_outliers, n_levels: runs left out of it, and levels that the others lie on (1: no step).
    """

    sigma: float
    dof: int
    n_outliers: int
    n_levels: int


def noise_of(logs: Sequence[float]) -> Noise:
    """The spread of runs in order of time.

    Args:
        logs: natural logs, two or more.

    Raises:
        ValueError: fewer than two.
    """
    if len(logs) < 2:
        raise ValueError(f"a spread needs 2 runs or more, got {len(logs)}")
    values = np.asarray(logs, dtype=float)
    left_out = outliers_of(values)
    kept = np.delete(values, left_out)
    levels = levels_of(kept)
    squares = sum(float(np.square(level - level.mean()).sum()) for level in levels)
    dof = len(kept) - len(levels)
    return Noise(max(FLOOR, math.sqrt(squares / dof)), dof, len(left_out), len(levels))


def pooled(first: Noise, later: Noise) -> Noise:
    """The spread of two parts of a history, each about its own level.

    A later part of few runs whose variance is larger than chance makes it (1 %, by F) holds a step that so few runs
    do not tell from noise, such as a regression and its repair: it is left out.
    """
    share = first.dof / (first.dof + later.dof * (later.sigma / first.sigma) ** 2)
    if later.dof + later.n_outliers < _RUNS_PER_OUTLIER - 1 and beta_cdf(first.dof / 2, later.dof / 2, share) < _LEVEL:
        return first
    dof = first.dof + later.dof
    variance = (first.dof * first.sigma**2 + later.dof * later.sigma**2) / dof
    return Noise(math.sqrt(variance), dof, first.n_outliers + later.n_outliers, max(first.n_levels, later.n_levels))


def outliers_of(values: np.ndarray) -> list[int]:
    """Places of the outliers by Rosner's test; none of fewer than eight values."""
    kept = list(range(len(values)))
    removed: list[int] = []
    n_outliers = 0
    for i in range(1, len(values) // _RUNS_PER_OUTLIER + 1):
        part = values[kept]
        away = np.abs(part - part.mean())
        farthest = int(away.argmax())
        if away[farthest] / max(FLOOR, float(part.std(ddof=1))) > _farthest_by_chance(len(values), i):
            n_outliers = i
        removed.append(kept.pop(farthest))
    return removed[:n_outliers]


@lru_cache(maxsize=1024)
def _farthest_by_chance(n: int, i: int) -> float:
    """What the i-th farthest of n values stays within, in standard deviations, in 99 % of samples."""
    t = t_quantile(1 - _LEVEL / (2 * (n - i + 1)), n - i - 1)
    return (n - i) * t / math.sqrt((n - i - 1 + t * t) * (n - i + 1))


def levels_of(values: np.ndarray) -> list[np.ndarray]:
    """The values cut where they step from one level to another."""
    n = len(values)
    if n < _FEWEST_TO_SPLIT:
        return [values]
    first, last = _stretches(n)
    centred = values - values.mean()
    sums = np.concatenate([[0.0], np.cumsum(centred)])
    inside = last - first
    between = (sums[last] - sums[first]) ** 2 * n / (inside * (n - inside))
    best = int(between.argmax())
    within = max(FLOOR**2, float(np.square(centred).sum() - between[best]) / (n - 2))
    if t_two_sided(math.sqrt(float(between[best]) / within), n - 2) * len(first) >= _LEVEL:
        return [values]
    parts = np.split(values, [at for at in (first[best], last[best]) if 0 < at < n])
    return [level for part in parts for level in levels_of(part)]


@lru_cache(maxsize=64)
def _stretches(n: int) -> tuple[np.ndarray, np.ndarray]:
    """First place and end of every stretch of n values that leaves none, or enough, on either side of it."""
    sides = (0, *range(_FEWEST_OF_A_LEVEL, n))
    found = [
        (first, last)
        for first in sides
        for last in range(first + _FEWEST_OF_A_LEVEL, n + 1)
        if n - last in sides and n - (last - first) > 0
        # the same two levels are not tried twice
        and not (last == n and first > 0)
    ]  # fmt: skip
    return np.array([first for first, _ in found]), np.array([last for _, last in found])


@lru_cache(maxsize=1024)
def median_variance(n: float) -> float:
    """Variance of the median of n normal values of variance 1, exact to 1 % (n >= 1, also between whole numbers).

    The mean's is 1 / n. The median costs up to pi / 2 times that, and does not follow an outlier.
    """
    if n <= 1:
        return 1.0
    whole = math.floor(n)
    low = _median_variance(whole)
    return low if whole == n else low + (n - whole) * (_median_variance(whole + 1) - low)


def _median_variance(n: int) -> float:
    """Of an odd count by the density of its middle value; of an even one that of the next odd one, nearly."""
    if n <= 2:
        return 1.0 / n
    if n % 2 == 0:
        return _EVEN[n] if n in _EVEN else median_variance(n + 1)
    x = np.linspace(-6.0, 6.0, 2001)
    normal = NormalDist()
    below = np.array([normal.cdf(float(one)) for one in x])
    half = (n - 1) // 2
    log_count = math.lgamma(n + 1) - 2 * math.lgamma(half + 1)
    with np.errstate(divide="ignore"):
        density = np.exp(log_count + half * (np.log(below) + np.log1p(-below)) - x * x / 2) / math.sqrt(2 * math.pi)
    return float((density * x * x).sum() * (x[1] - x[0]))


_EVEN = {4: 0.2982, 6: 0.2147, 8: 0.1682, 10: 0.1383}
