"""How the rows of one load test are dealt to several ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["rank_of_rows", "share_of_slots"]

Array = npt.NDArray[Any]


def rank_of_rows(n: int, size: int, slots: int | None) -> Array:
    """int64 (n,): the rank that sends each row.

    Rows go in turn to the slots of a limited concurrency, and slot s is of rank s mod `size`: where the slots do not
    divide evenly, neither do the rows, and all ranks run out of them together. Without such a limit they go in turn to
    the ranks.
    """
    rows = np.arange(n, dtype=np.int64)
    return (rows if slots is None else rows % slots) % size


def share_of_slots(total: int, rank: int, size: int) -> int:
    """This rank's part of `total` slots; the first ranks take what does not divide."""
    return total // size + (rank < total % size)
