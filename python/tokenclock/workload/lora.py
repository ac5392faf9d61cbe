"""Which LoRA adapter each request asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan
from tokenclock.workload.streams import stream

__all__ = ["adapters_of_rows", "assign_lora"]


def assign_lora(plan: ServingPlan, count: int) -> npt.NDArray[np.int16] | None:
    """For each row an index into the plan's adapters, int16[count]; None without adapters.

    `random` draws each row uniformly from the seed; `zipf` draws adapter k, from 1 in the order they were named, in
    proportion to k ** -lora_zipf; `round-robin` deals them in that order. `per-row` names come with the dataset's rows.
    """
    n_modules = len(plan.endpoint.lora_modules)
    if n_modules == 0 or plan.endpoint.lora_assignment == "per-row":
        return None
    if plan.endpoint.lora_assignment == "round-robin":
        return (np.arange(count) % n_modules).astype(np.int16)
    if plan.endpoint.lora_assignment == "zipf":
        shares = np.arange(1, n_modules + 1, dtype=np.float64) ** -plan.endpoint.lora_zipf
        return stream("lora", plan.load.seed).choice(n_modules, size=count, p=shares / shares.sum()).astype(np.int16)
    return stream("lora", plan.load.seed).integers(n_modules, size=count).astype(np.int16)


def adapters_of_rows(
    plan: ServingPlan, named: Sequence[str | None] | None
) -> tuple[tuple[str, ...], npt.NDArray[np.int16] | None]:
    """The adapters that rows name, and for each row the index of its own, -1 where it names none.

    Those of the plan come first, in its order. Raises UsageError where rows name none at all, or one that the plan,
    where it names any, does not.
    """
    asked = plan.endpoint.lora_modules
    if named is None:
        raise UsageError(
            "--lora-assignment per-row needs a dataset whose rows have lora_request, such as trace; this one has none"
        )
    modules = tuple(dict.fromkeys([*asked, *(name for name in named if name is not None)]))
    if asked and len(modules) > len(asked):
        raise UsageError(
            f"--lora-modules must name every adapter of the rows, got none called {modules[len(asked)]}; leave the "
            "flag out to take the rows' own names"
        )
    if len(modules) > np.iinfo(np.int16).max:
        raise UsageError(f"rows must name {np.iinfo(np.int16).max} adapters at most, got {len(modules)}")
    index = {name: number for number, name in enumerate(modules)}
    return modules, np.array([-1 if name is None else index[name] for name in named], dtype=np.int16)
