"""Work on many series, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["each_at_once"]

One = TypeVar("One")
Found = TypeVar("Found")


def each_at_once(work: Callable[[One], Found], items: Iterable[One]) -> Iterator[Found]:
    """What `work` gives for each item, in order. Threads: NumPy, where most of the time goes, lets others run."""
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)
