"""How long the worker threads stood ready to run without a core, as Linux counts it in /proc/self/task/TID/schedstat.

The threads' own clocks cannot tell: one that is woken late believes that it slept until then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["CoreWaits"]

_TASKS = Path("/proc/self/task")
_EVERY_NS = 20_000_000  # between two looks; of a thread that has ended nothing can be read


class CoreWaits:
    """Watches the threads that begin after it was made; `begin` once they run, then `note` again and again."""

    def __init__(self, n_workers: int, tasks: Path = _TASKS) -> None:
        self._n_workers, self._tasks = n_workers, tasks
        self._before = self._threads()
        self._first: dict[int, tuple[int, int]] = {}  # thread -> (instant, ns waited until then)
        self._last: dict[int, tuple[int, int]] = {}
        self._looked_ns = 0

    def begin(self) -> None:
        """Take the threads that are new for the workers, in the order of their numbers, and look for the first time."""
        new = sorted(self._threads() - self._before)
        if len(new) == self._n_workers:  # others began too, or some have ended: who is who is not known
            self._first = {thread: found for thread in new if (found := self._look(thread)) is not None}
            self._looked_ns = time.monotonic_ns()

    def note(self) -> None:
        """Look again, unless that was a moment ago."""
        if not self._first or time.monotonic_ns() - self._looked_ns < _EVERY_NS:
            return
        for thread in self._first:
            found = self._look(thread)
            if found is not None:
                self._last[thread] = found
        self._looked_ns = time.monotonic_ns()

    def shares(self) -> list[float | None]:
        """Of each worker, the share of its time between the first and the last look that it waited for a core; 0..1.

        None where the system does not say, or the thread had ended before a second look.
        """
        found: list[float | None] = []
        for thread, (start_ns, waited_ns) in self._first.items():
            end_ns, now_waited_ns = self._last.get(thread, (start_ns, waited_ns))
            share = (now_waited_ns - waited_ns) / (end_ns - start_ns) if end_ns > start_ns else None
            found.append(None if share is None else min(1.0, max(0.0, share)))
        return found if len(found) == self._n_workers else [None] * self._n_workers

    def added_to(self, workers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The counters of the workers, each with its `core_wait_share` where it is known."""
        pairs = zip(workers, self.shares(), strict=True)
        return [{**worker} if share is None else {**worker, "core_wait_share": share} for worker, share in pairs]

    def _threads(self) -> set[int]:
        try:
            return {int(name) for name in os.listdir(self._tasks)}
        except (OSError, ValueError):
            return set()

    def _look(self, thread: int) -> tuple[int, int] | None:
        """The instant, and the second of the three numbers: ns on the CPU, ns ready without one, times it got one."""
        try:
            return time.monotonic_ns(), int((self._tasks / str(thread) / "schedstat").read_text("ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return None
