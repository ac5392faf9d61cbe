"""Where a series of results changed its level, and how sure that is: hierarchical bisection with permutation tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.probability import t_two_sided
from tokenclock.store.change_points_energy import energy_statistics

__all__ = ["ChangePoint", "change_points", "segments"]

_BATCHES = (2, 3, 5, 10, 20, 59)
"""Shufflings, most tests of noise ending with the first batches; 99 in all, so that the smallest p-value is 0.01."""

_NARROWEST = 4
"""Least width of a window, in minimum segments."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChangePoint:
    """One change of level.

    Args:
        index: of the first value after it.
        before: mean of the segment that ends there, in the unit of the values.
        after: mean of the segment that begins there.
        p: share of shufflings of the series that look as changed there or more, 0.01 at the least.
        t_p: p-value of Welch's t-test between the two segments.
    """

    index: int
    before: float
    after: float
    p: float
    t_p: float

    @property
    def ratio(self) -> float:
        """after / before; infinite or NaN where before is 0."""
        if self.before == 0:
            return math.nan if self.after == 0 else math.copysign(math.inf, self.after)
        return self.after / self.before


def change_points(
    values: Sequence[float] | Floats,
    *,
    significance: float = 0.01,
    minimum_segment: int = 5,
    minimum_change: float = 0.02,
    seed: int = 20140101,
) -> list[ChangePoint]:
    """Changes of level of a series, in its order; the same for the same values and seed.

    E-divisive (Matteson and James, 2014): the cut with the largest energy statistic is kept when few shufflings of the
    segment reach as much anywhere; then both sides are looked at in the same way, each tested by itself. A change that
    is undone later hides from a cut of the whole, so cuts of narrower windows count too: widths that halve, each window
    overlapping the next by half (the seeded intervals of Kovacs and others, 2023).

    Of long histories that alone keeps shifts nobody cares for, so a change must also be at least `minimum_change` of
    the level before and be seen by Welch's t-test at `significance` between the segments on its two sides; while one
    is not, the weakest is dropped and its segments become one.

    A drift is reported as steps. Values must be exchangeable while nothing changes: where neighbours resemble each
    other (a machine that is warm for a day), more is reported than the significance says.

    Args:
        values: finite numbers in order of time, any unit.
        significance: chance of finding a change in a series of noise, from 0.01 to 1.
        minimum_segment: least values between two changes, 2 or more; a series shorter than twice that has none.
        minimum_change: share of the level before, 0 or more; 0.02 is 2 %.
        seed: of the shufflings, 0 or more.

    Raises:
        ValueError: a value is not finite, or an option out of range.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or not np.isfinite(series).all():
        raise ValueError("values must be one row of finite numbers")
    if minimum_segment < 2 or not 0.01 <= significance <= 1 or not minimum_change >= 0 or seed < 0:
        raise ValueError(
            "expected minimum_segment >= 2, significance from 0.01 to 1, minimum_change >= 0 and seed >= 0, got "
            f"{minimum_segment}, {significance}, {minimum_change} and {seed}"
        )
    found: dict[int, float] = {}
    waiting = [(0, len(series))]
    while waiting:
        start, end = waiting.pop()
        if end - start < max(2 * minimum_segment, 4):
            continue
        cut, p = _test(series[start:end], minimum_segment, significance, np.random.default_rng((seed, start, end)))
        if p > significance:
            continue
        found[start + cut] = p
        waiting += [(start, start + cut), (start + cut, end)]
    return _kept(series, _refined(series, found, minimum_segment), significance, minimum_change)


def segments(length: int, changes: Sequence[ChangePoint]) -> list[tuple[int, int]]:
    """Start and end (exclusive) of the stretches between changes."""
    edges = [0, *(change.index for change in changes), length]
    return list(itertools.pairwise(edges))


def _prepared(series: Floats) -> Floats:
    """The values around their median, in units of the widest distance to it."""
    centred = series - np.median(series)
    spread = np.abs(centred).max()
    found: Floats = centred / spread if spread > 0 else centred
    return found


def _windows(length: int, least: int) -> list[tuple[int, int]]:
    """Width and stride: the whole series, then windows of half the width with half of it in common, and so on."""
    found, width = [(length, length)], length // 2
    while width >= _NARROWEST * least:
        found.append((width, width // 2))
        width //= 2
    return found


def _best(series: Floats, least: int) -> tuple[int, float]:
    """The cut of the whole series with the largest statistic, and that."""
    found = energy_statistics(series[None, :])[0, least - 2 : len(series) - least - 1]
    place = int(np.argmax(found))
    return place + least, float(found[place])


def _peaks(rows: Floats, least: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """Of each row, the best cut in any window, and its statistic."""
    length = rows.shape[1]
    cut, peak = np.zeros(len(rows), dtype=np.intp), np.full(len(rows), -np.inf)
    for width, stride in _windows(length, least):
        starts = np.unique([*range(0, length - width + 1, stride), length - width])
        views = np.lib.stride_tricks.sliding_window_view(rows, width, axis=1)[:, starts]
        found = energy_statistics(views.reshape(-1, width))[:, least - 2 : width - least - 1]
        places = found.argmax(axis=1).reshape(len(rows), -1)
        heights = found.max(axis=1).reshape(len(rows), -1)
        window = heights.argmax(axis=1)
        row = np.arange(len(rows))
        better = heights[row, window] > peak
        peak = np.where(better, heights[row, window], peak)
        cut = np.where(better, starts[window] + places[row, window] + least, cut)
    return cut, peak


def _test(series: Floats, least: int, significance: float, random: np.random.Generator) -> tuple[int, float]:
    """The best cut, and the share of shufflings that have as good a one; it ends once the share is too large."""
    prepared = _prepared(series)
    cuts, peaks = _peaks(prepared[None, :], least)
    cut, reached = int(cuts[0]), float(peaks[0])
    if not reached > 0:
        return cut, 1.0
    total, as_good, done = sum(_BATCHES), 0, 0
    for size in _BATCHES:
        shuffled = random.permuted(np.broadcast_to(prepared, (size, len(prepared))), axis=1)
        as_good += int((_peaks(shuffled, least)[1] >= reached * (1 - 1e-9)).sum())
        done += size
        if (as_good + 1) / (total + 1) > significance:  # whatever the rest would say
            break
    return cut, (as_good + 1) / (done + 1)


def _refined(series: Floats, found: dict[int, float], least: int) -> dict[int, float]:
    """Each change at the best cut between its neighbours: a first cut is found while later ones still disturb it."""
    edges = [0, *sorted(found), len(series)]
    placed: dict[int, float] = {}
    for before, here, after in zip(edges, edges[1:], edges[2:], strict=False):
        start = max(placed, default=before)
        cut = here if after - start < 2 * least else start + _best(_prepared(series[start:after]), least)[0]
        placed[cut] = found[here]
    return placed


def _kept(series: Floats, found: dict[int, float], significance: float, minimum_change: float) -> list[ChangePoint]:
    """Without those that Welch's test does not see or that are small; the weakest goes first."""
    places = sorted(found)
    while True:
        edges = [0, *places, len(series)]
        changes = [
            _change(series, before, here, after, found[here])
            for before, here, after in zip(edges, edges[1:], edges[2:], strict=False)
        ]
        weak = [
            change
            for change in changes
            if change.t_p > significance or not abs(change.after - change.before) >= minimum_change * abs(change.before)
        ]
        if not weak:
            return changes
        places.remove(max(weak, key=lambda change: (change.t_p, -abs(change.after - change.before))).index)


def _change(series: Floats, start: int, here: int, end: int, p: float) -> ChangePoint:
    left, right = series[start:here], series[here:end]
    before, after = float(left.mean()), float(right.mean())
    a, b = (float(side.var(ddof=1)) / len(side) for side in (left, right))
    if a + b <= (1e-12 * max(abs(before), abs(after))) ** 2:
        t_p = 1.0 if math.isclose(before, after, rel_tol=1e-9) else 0.0
    else:
        dof = (a + b) ** 2 / (a * a / (len(left) - 1) + b * b / (len(right) - 1))
        t_p = t_two_sided(abs(after - before) / math.sqrt(a + b), dof)
    return ChangePoint(here, before, after, p, t_p)
