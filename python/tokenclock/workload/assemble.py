"""The last step of every dataset: due times, adapters and the fingerprint, around prompts and lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tokenclock.plan import ServingPlan
from tokenclock.workload.arrivals import asked_rates, due_times_ns
from tokenclock.workload.lora import assign_lora
from tokenclock.workload.messages import Prompt
from tokenclock.workload.realised import Workload, workload_sha256
from tokenclock.workload.streams import stream
from tokenclock.workload.tokenizer import Tokenizer

__all__ = ["assemble", "drawn_due_times"]


def drawn_due_times(plan: ServingPlan, count: int) -> npt.NDArray[np.int64]:
    """Due times of `count` requests by the plan's rate and burstiness, ns from the run's start, int64."""
    load = plan.load
    return due_times_ns(stream("arrivals", load.seed), count, asked_rates(load, count), load.burstiness)


def assemble(
    plan: ServingPlan,
    prompts: Sequence[Prompt],
    *,
    isl: npt.NDArray[np.int32],
    isl_realised: npt.NDArray[np.int32],
    osl: npt.NDArray[np.int32],
    draw_spares: Callable[[int], list[tuple[Prompt, int]]],
    tokenizer: Tokenizer | None = None,
    notes: Sequence[str] = (),
    due_ns: npt.NDArray[np.int64] | None = None,
    mean_rate: float | None = None,
    shared_prefix: bool = False,
    lora_index: npt.NDArray[np.int16] | None = None,
) -> Workload:
    """The workload of these prompts. `due_ns`: the dataset's own due times; default: drawn at the plan's rate.

    lora_index: int16 (n,), the adapter that each row itself asks for, -1 for none; default: assigned as planned.
    """
    due_ns = drawn_due_times(plan, len(prompts)) if due_ns is None else due_ns
    modules = plan.endpoint.lora_modules
    lora_index = assign_lora(plan, len(prompts)) if lora_index is None else lora_index
    models = None if lora_index is None else [modules[i] if i >= 0 else "" for i in lora_index.tolist()]
    return Workload(
        dataset=plan.dataset.name,
        prompts=prompts,
        isl_requested=isl,
        isl_realised=isl_realised,
        osl_requested=osl,
        t_due_ns=due_ns,
        sha256=workload_sha256(prompts, isl, osl, due_ns, models),
        tokenizer=tokenizer.source if tokenizer is not None else None,
        count_tokens=_counter(tokenizer) if tokenizer is not None else None,
        lora_modules=modules,
        lora_index=lora_index,
        shared_prefix=shared_prefix,
        mean_rate=mean_rate,
        notes=tuple(dict.fromkeys(notes)),
        draw_spares=draw_spares,
    )


def _counter(tokenizer: Tokenizer) -> Callable[[str], int]:
    return lambda text: int(tokenizer.counts([text], special=False)[0])
