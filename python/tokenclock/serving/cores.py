"""Which cores the client's threads run on."""

from __future__ import annotations

import os

__all__ = ["cores_of_workers"]


def cores_of_workers(n_workers: int) -> list[int]:
    """One core of this process for each of several workers; empty (not pinned) for one, or where there are too few.

    The first ones: a paced server beside it takes the last.
    """
    if n_workers < 2 or not hasattr(os, "sched_getaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[:n_workers] if n_workers <= len(allowed) else []
