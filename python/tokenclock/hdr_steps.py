"""Walks over an HDR histogram with the steps of the Java implementation; an empty histogram has none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from tokenclock._core import HdrHistogram as NativeHistogram

__all__ = ["HdrStep", "Snapshot", "linear", "logarithmic", "percentiles", "recorded"]


class HdrStep(NamedTuple):
    """One step of a walk.

    Attributes:
        value_from: where the step before ended; 0 for the first.
        value_to: the last value of this step.
        n_at_value: number of recorded values in the bucket of value_to.
        n_in_step: number of recorded values in this step.
        n_up_to_value: number of recorded values in this step and all before.
        percentile: n_up_to_value as a percentage of all recorded values.
        percentile_level: the percentage this step was asked for (``iter_percentiles``); else as percentile.
    """

    value_from: int
    value_to: int
    n_at_value: int
    n_in_step: int
    n_up_to_value: int
    percentile: float
    percentile_level: float


class Snapshot:
    """The counts of a moment, and the arithmetic of the buckets, past the highest value too."""

    def __init__(self, histogram: NativeHistogram) -> None:
        lows, counts = histogram.recorded()
        self.lows: list[int] = lows.tolist()  # the lowest value of every bucket with a count
        self.counts: list[int] = counts.tolist()
        self.n_total: int = sum(self.counts)
        self._linear_bits = (2 * 10**histogram.significant_digits - 1).bit_length()
        unit_bits = histogram.lowest.bit_length() - 1
        self._unit_end_bits = unit_bits + self._linear_bits  # below 2 to this all buckets are as wide as the unit
        self.end = 1 << max(histogram.highest.bit_length(), self._unit_end_bits)  # of the last bucket

    def bounds(self, value: int) -> tuple[int, int]:
        """The lowest value of a value's bucket, and of the next one."""
        width_bits = max(value.bit_length(), self._unit_end_bits) - self._linear_bits
        low = value >> width_bits << width_bits
        return low, low + (1 << width_bits)


def recorded(snapshot: Snapshot) -> Iterator[HdrStep]:
    """One step for every bucket with a count."""
    seen = value_from = 0
    for low, count in zip(snapshot.lows, snapshot.counts, strict=True):
        seen += count
        value_to = snapshot.bounds(low)[1] - 1
        percentile = 100.0 * seen / snapshot.n_total
        yield HdrStep(value_from, value_to, count, count, seen, percentile, percentile)
        value_from = value_to


class _Walker:
    """Takes steps up to given values."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.n_seen = 0
        self.bucket_end = 0  # of the bucket reached so far
        self._next = 0
        self._value_from = 0

    @property
    def is_done(self) -> bool:
        """Whether every recorded value has been passed."""
        return self.n_seen == self.snapshot.n_total

    def step_to(self, value_to: int) -> HdrStep:
        low, self.bucket_end = self.snapshot.bounds(min(value_to, self.snapshot.end - 1))
        seen_before, lows, counts = self.n_seen, self.snapshot.lows, self.snapshot.counts
        while self._next < len(lows) and lows[self._next] <= low:
            self.n_seen += counts[self._next]
            self._next += 1
        is_recorded = self._next > 0 and lows[self._next - 1] == low
        percentile = 100.0 * self.n_seen / self.snapshot.n_total
        n_at_value = counts[self._next - 1] if is_recorded else 0
        n_in_step = self.n_seen - seen_before
        step = HdrStep(self._value_from, value_to, n_at_value, n_in_step, self.n_seen, percentile, percentile)
        self._value_from = value_to
        return step


def linear(snapshot: Snapshot, step: int) -> Iterator[HdrStep]:
    """Steps up to step - 1, 2 * step - 1 ... through the bucket of the highest recorded value."""
    if step < 1:
        raise ValueError(f"step must be >= 1, got {step}")
    return _linear(_Walker(snapshot), step)


def _linear(walker: _Walker, step: int) -> Iterator[HdrStep]:
    if walker.is_done:
        return
    level = step
    while not walker.is_done or level < walker.bucket_end:
        yield walker.step_to(level - 1)
        level += step


def logarithmic(snapshot: Snapshot, first_step: int, base: float) -> Iterator[HdrStep]:
    """Steps up to first_step - 1, first_step * base - 1 ... through the bucket of the highest recorded value."""
    if first_step < 1:
        raise ValueError(f"first_step must be >= 1, got {first_step}")
    if not 1.0 < base < math.inf:
        raise ValueError(f"base must be > 1 and finite, got {base}")
    return _logarithmic(_Walker(snapshot), float(first_step), float(base))


def _logarithmic(walker: _Walker, level: float, base: float) -> Iterator[HdrStep]:
    if walker.is_done:
        return
    while not walker.is_done or (
        level < walker.snapshot.end and walker.snapshot.bounds(int(level))[0] < walker.bucket_end
    ):
        yield walker.step_to(int(level) - 1)
        level *= base


def percentiles(snapshot: Snapshot, ticks_per_half_distance: int) -> Iterator[HdrStep]:
    """Steps at percentages that halve their distance to 100 every so many ticks, and a last one at 100."""
    if ticks_per_half_distance < 1:
        raise ValueError(f"ticks_per_half_distance must be >= 1, got {ticks_per_half_distance}")
    return _percentiles(snapshot, ticks_per_half_distance)


def _percentiles(snapshot: Snapshot, ticks: int) -> Iterator[HdrStep]:
    seen = n_reported = value_from = 0
    level = 0.0
    for low, count in zip(snapshot.lows, snapshot.counts, strict=True):
        seen += count
        percentile = 100.0 * seen / snapshot.n_total
        value_to = snapshot.bounds(low)[1] - 1
        is_last = seen == snapshot.n_total
        while percentile >= level or is_last:
            yield HdrStep(value_from, value_to, count, seen - n_reported, seen, percentile, min(level, 100.0))
            value_from, n_reported = value_to, seen
            if is_last:
                yield HdrStep(value_from, value_to, count, 0, seen, percentile, 100.0)
                return
            level = _next_level(level, ticks)


def _next_level(level: float, ticks: int) -> float:
    """The next percentage, or infinity where there is none below 100 that a float can tell from this one."""
    n_halvings = int(math.log(100.0 / (100.0 - level)) / math.log(2.0)) + 1
    ticks_to_100: int = ticks * 2**n_halvings
    higher = level + 100.0 / ticks_to_100
    return higher if level < higher < 100.0 else math.inf
