"""Which LoRA adapter each request asks for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tokenclock.plan import ServingPlan
from tokenclock.workload.streams import stream

__all__ = ["assign_lora"]


def assign_lora(plan: ServingPlan, count: int) -> npt.NDArray[np.int16] | None:
    """For each row an index into the plan's adapters, int16[count]; None without adapters.

    `random` draws each row uniformly from the seed; `zipf` draws adapter k, from 1 in the order they were named, in
    proportion to k ** -lora_zipf; `round-robin` deals them in that order. `per-row` names come with the dataset's rows.
    """
    n_modules = len(plan.endpoint.lora_modules)
    if n_modules == 0:
        return None
    if plan.endpoint.lora_assignment == "round-robin":
        return (np.arange(count) % n_modules).astype(np.int16)
    if plan.endpoint.lora_assignment == "zipf":
        shares = np.arange(1, n_modules + 1, dtype=np.float64) ** -plan.endpoint.lora_zipf
        return stream("lora", plan.load.seed).choice(n_modules, size=count, p=shares / shares.sum()).astype(np.int16)
    return stream("lora", plan.load.seed).integers(n_modules, size=count).astype(np.int16)
