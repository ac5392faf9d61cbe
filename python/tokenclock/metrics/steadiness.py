"""Did a metric stay what it was over the window? A test for a trend and one for a change of level, on block means."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.blocks import MIN_BLOCKS, Blocks
from tokenclock.metrics.probability import t_quantile

__all__ = ["Change", "changes"]

Array = npt.NDArray[Any]

_ERROR = 0.001  # chance of each test to see a change where there is none
_MOST_CORRELATED = 0.8  # beyond it ten to thirty means tell too little to correct by
_EDGE = 3  # block means on either side of a change of level, at least


@dataclass(frozen=True)
class Change:
    """What one test found.

    Args:
        kind: ``trend`` or ``level shift``.
        share: change over the window (trend) or from before to after (shift), relative to the mean; signed.
        is_significant: beyond chance, with an error of 0.1 % per test.
    """

    kind: str
    share: float
    is_significant: bool


def changes(values: Array, t_ns: Array, blocks: Blocks) -> Iterator[Change]:
    """Both tests; nothing when fewer than ``MIN_BLOCKS`` blocks hold a value, or their mean is 0.

    Args:
        values: float64 (n,), NaN left out.
        t_ns: int64 (n,), when each was taken.
        blocks: windows of time long enough for their means to be nearly independent.
    """
    known = ~np.isnan(values) & blocks.hold(t_ns)
    index = blocks.of(t_ns[known])
    counts = np.bincount(index, minlength=blocks.n)
    filled = counts > 0
    if filled.sum() < MIN_BLOCKS:
        return
    means = np.bincount(index, weights=values[known], minlength=blocks.n)[filled] / counts[filled]
    overall = float(means.mean())
    if overall == 0:
        return
    yield _trend(means, np.flatnonzero(filled) / blocks.n, overall)
    yield _shift(means, overall)


def _trend(means: Array, at: Array, overall: float) -> Change:
    """Least squares on the block means; ``at`` runs from 0 to 1 over the window."""
    centred = at - at.mean()
    spread = float(np.dot(centred, centred))
    slope = float(np.dot(centred, means)) / spread
    residuals = means - overall - slope * centred
    error = math.sqrt(_variance(residuals, n_fitted=2) / spread)
    return Change("trend", slope / overall, _beyond(slope, error, _ERROR, len(means) - 2))


def _shift(means: Array, overall: float) -> Change:
    """The cut that explains most; each of the cuts tried is one more chance to be wrong, so each must convince more."""
    n = len(means)
    cuts = np.arange(_EDGE, n - _EDGE + 1)
    before = np.cumsum(means)[cuts - 1] / cuts
    after = (means.sum() - np.cumsum(means)[cuts - 1]) / (n - cuts)
    at = int(np.argmax((after - before) ** 2 * cuts * (n - cuts)))
    cut, step = int(cuts[at]), float(after[at] - before[at])
    residuals = means - np.where(np.arange(n) < cut, before[at], after[at])
    error = math.sqrt(_variance(residuals, n_fitted=2) * (1 / cut + 1 / (n - cut)))
    return Change("level shift", step / overall, _beyond(step, error, _ERROR / len(cuts), n - 2))


def _variance(residuals: Array, *, n_fitted: int) -> float:
    """Of one block mean, raised by what successive means have in common (first-order autoregression)."""
    total = float(np.dot(residuals, residuals))
    if total == 0:
        return 0.0
    common = float(np.dot(residuals[1:], residuals[:-1])) / total
    common = min(max(common, 0.0), _MOST_CORRELATED)
    return total / (len(residuals) - n_fitted) * (1 + common) / (1 - common)


def _beyond(value: float, error: float, chance: float, dof: int) -> bool:
    return abs(value) > t_quantile(1 - chance / 2, dof) * error
