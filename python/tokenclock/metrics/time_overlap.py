"""Whether several runs loaded a server at the same time, by the wall clocks of their machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Overlap", "overlap_of"]


@dataclass(frozen=True)
class Overlap:
    """What several runs share of their time.

    Args:
        t_start_ns: when the last of them began, ns since 1970.
        t_end_ns: when the first of them ended; not after ``t_start_ns`` where there is no common time.
        share: the common time over the time from the first begin to the last end, 0 to 1.
    """

    t_start_ns: int
    t_end_ns: int
    share: float


def overlap_of(windows_ns: Sequence[tuple[int, int]]) -> Overlap:
    """The common time of one or more windows (begin, end), in ns of one clock."""
    begins, ends = zip(*windows_ns, strict=True)
    start, end, whole = max(begins), min(ends), max(ends) - min(begins)
    return Overlap(start, end, max(0, end - start) / whole if whole > 0 else 0.0)
