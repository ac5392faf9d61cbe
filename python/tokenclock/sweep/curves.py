"""What a curve of loads says: where it saturates, and which points no other one beats. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Knee", "Load", "find_knee", "pareto_front"]

SATURATED = 0.95
"""Share of the highest throughput from which on a load counts as saturated."""


@dataclass(frozen=True)
class Load:
    """One run of one load.

    Args:
        concurrency: requests in flight.
        output_throughput: tokens/s.
        e2el_ns: mean.
    """

    concurrency: int
    output_throughput: float
    e2el_ns: float

    @property
    def power(self) -> float:
        """Kleinrock's power: throughput over response time; the knee of the curve is where it is highest."""
        return self.output_throughput / self.e2el_ns


@dataclass(frozen=True)
class Knee:
    """Where a server saturates.

    Args:
        concurrency: of the highest power, by the medians of the runs of each load.
        of_each_run: the same of the first runs alone, of the second ones, ...: how much luck is in it.
        saturated_from: the lowest concurrency with at least 95 % of the highest throughput.
        is_inside: whether higher and lower loads were tried; else the knee may lie outside.
    """

    concurrency: int
    of_each_run: tuple[int, ...]
    saturated_from: int
    is_inside: bool


def find_knee(loads: Sequence[Load]) -> Knee | None:
    """The knee of at least three loads; None for fewer."""
    runs: dict[int, list[Load]] = {}
    for load in loads:
        runs.setdefault(load.concurrency, []).append(load)
    if len(runs) < 3:
        return None
    power = {n: median(load.power for load in found) for n, found in runs.items()}
    rate = {n: median(load.output_throughput for load in found) for n, found in runs.items()}
    knee = max(sorted(power), key=lambda n: power[n])
    n_runs = min(map(len, runs.values()))
    each = tuple(max(sorted(runs), key=lambda n: runs[n][i].power) for i in range(n_runs))
    saturated = min(n for n, value in rate.items() if value >= SATURATED * max(rate.values()))
    return Knee(knee, each, saturated, min(runs) < knee < max(runs))


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of the points that no other one beats in both values (more is better), by falling first value.

    A point that equals another in both is kept with it.
    """
    front = [
        name
        for name, (x, y) in points.items()
        if not any(a >= x and b >= y and (a > x or b > y) for other, (a, b) in points.items() if other != name)
    ]
    return sorted(front, key=lambda name: (-points[name][0], name))
