"""The highest load that keeps its limits: which load to try next, and when a load is decided. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from tokenclock.metrics.wilson import wilson_interval

__all__ = ["Bisection", "Tally", "least_requests"]

KEEPS, MISSES, UNDECIDED = "keeps", "misses", "undecided"


@dataclass
class Tally:
    """All runs of one load.

    Args:
        share: of the requests that must keep every limit.
        runs: requests that did, and requests scheduled, of each run.
    """

    share: float
    runs: list[tuple[int, int]] = field(default_factory=list)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the share over all runs; None without requests."""
        return wilson_interval(sum(good for good, _ in self.runs), sum(n for _, n in self.runs))

    @property
    def verdict(self) -> str:
        """`keeps` when the whole interval is above the share, `misses` when it is below, else `undecided`.

        Requests of one run fail together, so one run that is told apart from the share by itself outvotes the pool:
        a load keeps its limits only if no single run misses them.
        """
        bounds = self.interval
        if bounds is None:
            return UNDECIDED
        single = [wilson_interval(good, n) for good, n in self.runs if n]
        if bounds[1] < self.share:
            return MISSES
        if any(found is not None and found[1] < self.share for found in single):
            return UNDECIDED
        return KEEPS if bounds[0] >= self.share else UNDECIDED


def least_requests(share: float) -> int:
    """Requests of one load, all good, that show at 95 % confidence that at least `share` of them are."""
    z2 = 1.959963984540054**2
    return math.ceil(z2 * share / (1.0 - share) - 1e-9)


@dataclass
class Bisection:
    """Loads to try: upwards by doubling until one does not keep its limits, then between.

    Args:
        low, high: the ends, both are tried.
        whole: loads are whole numbers.
        tolerance: the search ends when the bracket is narrower than this share of its lower end.
    """

    low: float
    high: float
    whole: bool
    tolerance: float
    kept: list[float] = field(default_factory=list)
    missed: list[float] = field(default_factory=list)

    def loads(self) -> Iterator[float]:
        """Each load to decide; call `note` before taking the next one."""
        load = self.low
        while not self.missed:
            yield load
            if self.missed or load >= self.high:
                break
            load = min(2 * load, self.high)
        while self.kept and self.missed and (between := self._between()) is not None:
            yield between

    def note(self, load: float, *, keeps: bool) -> None:
        """What was decided of a load."""
        (self.kept if keeps else self.missed).append(load)
        if not keeps:
            self.kept = [other for other in self.kept if other < load]

    @property
    def best(self) -> float | None:
        """The highest load that keeps its limits; None when not even the lowest does."""
        return max(self.kept, default=None)

    @property
    def is_bound(self) -> bool:
        """Whether a higher load was tried and did not keep them: else the answer is a lower bound."""
        return bool(self.missed)

    def _between(self) -> float | None:
        low, high = max(self.kept), min(self.missed)
        if high - low <= self.tolerance * low:
            return None
        if not self.whole:
            return float(f"{math.sqrt(low * high):.4g}")
        middle = int(low + high) // 2
        return None if middle in (low, high) else float(middle)
