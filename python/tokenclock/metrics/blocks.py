"""Windows of time whose contents are nearly independent of each other: what intervals count instead of samples.

Requests that run together fail together: a stall hits all of them, and a crowded second slows each. So neighbours in
time are no independent samples, however many there are, and a window several requests long is counted as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LIFETIMES", "MAX_BLOCKS", "MIN_BLOCKS", "Blocks", "time_blocks"]

Array = npt.NDArray[Any]

LIFETIMES = 2
"""A block is at least so many median E2EL long: most requests then lie in one or two blocks."""
MAX_BLOCKS = 30
"""More would be shorter, and more alike; 30 cost a t quantile of 2.05 in place of 1.96."""
MIN_BLOCKS = 10
"""Fewer say too little about how blocks differ."""


@dataclass(frozen=True)
class Blocks:
    """``n`` windows of ``length_ns`` each, from ``t_start_ns`` on; 0 windows where the span holds none."""

    t_start_ns: int
    length_ns: float
    n: int

    @property
    def t_end_ns(self) -> int:
        """Where the last one ends."""
        return self.t_start_ns + round(self.length_ns * self.n)

    def hold(self, t_ns: Array) -> Array:
        """bool (k,): instants within the blocks, both ends included."""
        return np.asarray((t_ns >= self.t_start_ns) & (t_ns <= self.t_end_ns))

    def of(self, t_ns: Array) -> Array:
        """int64 (k,): the block of each instant within them; one outside goes to the nearest."""
        if self.n == 0:
            return np.zeros(len(t_ns), np.int64)
        index = ((t_ns - self.t_start_ns) / self.length_ns).astype(np.int64)
        return np.clip(index, 0, self.n - 1)


def time_blocks(t_start_ns: int, t_end_ns: int, lifetime_ns: float | None) -> Blocks:
    """Equal blocks that fill a span: as many as fit of ``LIFETIMES`` lifetimes, ``MAX_BLOCKS`` at most.

    Args:
        t_start_ns, t_end_ns: the span.
        lifetime_ns: median E2EL; None or 0: there are no blocks.
    """
    span = t_end_ns - t_start_ns
    n = min(MAX_BLOCKS, int(span / (LIFETIMES * lifetime_ns))) if lifetime_ns and span > 0 else 0
    return Blocks(t_start_ns, span / n if n else 0.0, n)
