"""Rows of iterations written by hand, and ranks that are threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from tokenclock.iteration_records import TIMED, WARM_UP, IterationRecords, empty_iterations
from tokenclock.records import MISSING_NS

T = TypeVar("T")


def rows(
    given: Sequence[tuple[int, int, Sequence[int]]],
    *,
    n_warm_up: int = 0,
    rank: int = 0,
    phases: Mapping[str, Sequence[int]] | None = None,
    device_steps: Sequence[int] | None = None,
    **columns: Any,
) -> IterationRecords:
    """Rows of start, end and steps in ns; the first `n_warm_up` are warm-ups. Columns are one value or one per row."""
    n = len(given)
    values = empty_iterations(n)
    values["case"][:] = 0
    values["rank"][:] = rank
    values["iteration"][:] = np.arange(n)
    values["phase"][:] = [WARM_UP if k < n_warm_up else TIMED for k in range(n)]
    values["batch_size"][:] = 1
    values["t_start_ns"][:] = [start for start, _, _ in given]
    values["t_done_ns"][:] = [end for _, end, _ in given]
    for name, value in columns.items():
        values[name][:] = value
    steps = [step for _, _, of_row in given for step in of_row]
    offsets = np.cumsum([0, *(len(of_row) for _, _, of_row in given)])
    return IterationRecords(
        values,
        offsets.astype(np.int64),
        np.array(steps, np.int64),
        np.full(len(steps), MISSING_NS, np.int64) if device_steps is None else np.array(device_steps, np.int64),
        {name: np.array(of_phase, np.int64) for name, of_phase in (phases or {}).items()},
        {rank: 1000},
    )


@dataclass
class _Shared:
    size: int
    barrier: threading.Barrier
    values: list[Any] = field(default_factory=list)
    aborted: list[int] = field(default_factory=list)


@dataclass
class ThreadWorld:
    """One rank of a world whose ranks are threads of this process."""

    rank: int
    shared: _Shared
    host: str = "h"

    @property
    def size(self) -> int:
        return self.shared.size

    @property
    def local_rank(self) -> int:
        return self.rank

    def barrier(self) -> None:
        self.shared.barrier.wait(timeout=20)

    def gather_all(self, value: T) -> list[T]:
        self.barrier()
        self.shared.values[self.rank] = value
        self.barrier()
        gathered = list(self.shared.values)
        self.barrier()
        return gathered

    def gather(self, value: T) -> list[T] | None:
        gathered = self.gather_all(value)
        return gathered if self.rank == 0 else None

    def broadcast(self, value: T) -> T:
        return self.gather_all(value)[0]

    def abort(self, exit_code: int) -> None:
        self.shared.aborted.append(exit_code)
        self.shared.barrier.abort()


def in_ranks(size: int, work: Callable[[ThreadWorld], Any]) -> list[Any]:
    """Run `work` in every rank; what each returned, or the exception that ended it."""
    shared = _Shared(size, threading.Barrier(size), [None] * size)
    results: list[Any] = [None] * size

    def one(rank: int) -> None:
        try:
            results[rank] = work(ThreadWorld(rank, shared))
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return results
