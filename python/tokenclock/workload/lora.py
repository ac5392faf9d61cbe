"""Which LoRA adapter each request asks for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tokenclock.plan import ServingPlan
from tokenclock.workload.streams import stream

__all__ = ["assign_lora"]


def assign_lora(plan: ServingPlan, count: int) -> npt.NDArray[np.int16] | None:
    """For each row an index into the plan's adapters, int16[count]; None without adapters.

    `random` draws each row uniformly from the seed; `round-robin` deals them in the order they were named.
    """
    n_modules = len(plan.endpoint.lora_modules)
    if n_modules == 0:
        return None
    if plan.endpoint.lora_assignment == "round-robin":
        return (np.arange(count) % n_modules).astype(np.int16)
    return stream("lora", plan.load.seed).integers(n_modules, size=count).astype(np.int16)
