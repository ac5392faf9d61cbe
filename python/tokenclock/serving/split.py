"""Which part of a load test each of several ranks sends, so that together they are one big client.

Rows of the one realised workload are dealt in turn (`dealing`), each is sent when it is due there. The slots of a
limited concurrency are divided as evenly as can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from tokenclock.dealing import rank_of_rows, share_of_slots
from tokenclock.errors import UsageError
from tokenclock.plan import ServerPlan, ServingPlan
from tokenclock.workload.realised import Prompt, Workload

__all__ = ["check_split", "plan_of_rank", "rows_of_rank", "workload_of_rank"]

Array = npt.NDArray[Any]


def check_split(plan: ServingPlan, size: int) -> None:
    """Raise UsageError where there is not at least one request and one slot for each of `size` ranks."""
    load = plan.load
    if load.windows is not None and size > 1:
        raise UsageError(f"--measurement-interval must be left out with {size} ranks; give --request-count")
    for flag, n in (("--num-prompts", load.num_prompts), ("--max-concurrency", load.max_concurrency)):
        if n is not None and n < size:
            raise UsageError(f"{flag} must be {size} or more to be shared by {size} ranks, got {n}; start fewer ranks")


def rows_of_rank(n: int, rank: int, size: int, slots: int | None) -> Array:
    """int64: the rows of n that this rank sends, of a load with so many slots (None: no limit)."""
    return np.flatnonzero(rank_of_rows(n, size, slots) == rank)


def plan_of_rank(plan: ServingPlan, n: int, rank: int, size: int) -> ServingPlan:
    """The plan that this rank's client follows, of a workload of n requests. Rank 0 alone speaks to the server beside
    the load: caches, profiler, counters and probes."""
    slots = plan.load.max_concurrency
    load = replace(
        plan.load,
        num_prompts=len(rows_of_rank(n, rank, size, slots)),
        max_concurrency=None if slots is None else share_of_slots(slots, rank, size),
    )
    if rank == 0:
        return replace(plan, load=load)
    return replace(plan, load=replace(load, probe_request_rate=0.0), server=ServerPlan())


def workload_of_rank(workload: Workload, rank: int, size: int, slots: int | None) -> Workload:
    """The rows of this rank, in their order; fingerprint and notes stay those of the whole."""
    rows = rows_of_rank(len(workload), rank, size, slots)
    lora = workload.lora_index
    return replace(
        workload,
        prompts=_Rows(workload.prompts, rows),
        isl_requested=workload.isl_requested[rows],
        isl_realised=workload.isl_realised[rows],
        osl_requested=workload.osl_requested[rows],
        t_due_ns=workload.t_due_ns[rows],
        lora_index=None if lora is None else lora[rows],
    )


class _Rows(Sequence[Prompt]):
    """Some of the prompts, made when they are asked for where the whole makes them so."""

    def __init__(self, prompts: Sequence[Prompt], rows: Array) -> None:
        self._prompts, self._rows = prompts, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Prompt: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Prompt]: ...
    def __getitem__(self, index: int | slice) -> Prompt | Sequence[Prompt]:
        if isinstance(index, slice):
            return _Rows(self._prompts, self._rows[index])
        return self._prompts[int(self._rows[index])]
