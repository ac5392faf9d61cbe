"""The last step of every dataset: due times, adapters and the fingerprint, around prompts and lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tokenclock.plan import ServingPlan
from tokenclock.units import NS_PER_MS
from tokenclock.workload.arrivals import asked_rates, due_times_ns
from tokenclock.workload.cache_bust import busted
from tokenclock.workload.lora import adapters_of_rows, assign_lora
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
    adapters: Sequence[str | None] | None = None,
    session: npt.NDArray[np.int64] | None = None,
    think_ms: npt.NDArray[np.float64] | None = None,
    answer_ids: Callable[[str, int], list[int]] | None = None,
    recorded: bool = False,
) -> Workload:
    """The workload of these prompts.

    Args:
        recorded: contents come from a file, so that a nonce (--cache-bust) has to be put into them.
        due_ns: the dataset's own due times; default: drawn at the plan's rate.
        lora_index: int16 (n,), the adapter that each row itself asks for, -1 for none; default: assigned as planned.
        adapters: the LoRA adapter that each row names, where the dataset's rows do.
        session: number of each row's conversation, -1 for none; think_ms: pause before each later turn;
            answer_ids: token ids that stand for a server's answer in later turns.
    """
    due_ns = drawn_due_times(plan, len(prompts)) if due_ns is None else due_ns
    if plan.load.cache_bust is not None and recorded:
        prompts, known = busted(prompts, plan.load.cache_bust)
        isl, isl_realised = (np.where(known, column, np.int32(-1)) for column in (isl, isl_realised))
    modules = plan.endpoint.lora_modules
    lora_index = assign_lora(plan, len(prompts)) if lora_index is None else lora_index
    if plan.endpoint.lora_assignment == "per-row" or (adapters is not None and not modules):
        modules, lora_index = adapters_of_rows(plan, adapters)
    names = (*modules, "")  # -1 is the last: the model itself
    models = None if lora_index is None else [names[index] for index in lora_index.tolist()]
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
        session=session,
        think_ns=None if session is None or think_ms is None else _nanoseconds(think_ms),
        answer_ids=answer_ids,
        notes=tuple(dict.fromkeys(notes)),
        draw_spares=draw_spares,
    )


def _nanoseconds(think_ms: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """A pause that is not told is none."""
    return np.rint(np.nan_to_num(think_ms) * NS_PER_MS).astype(np.int64)


def _counter(tokenizer: Tokenizer) -> Callable[[str], int]:
    return lambda text: int(tokenizer.counts([text], special=False)[0])
