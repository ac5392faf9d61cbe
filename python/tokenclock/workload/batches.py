"""Requests of several texts, made of a dataset's prompts: batches for embeddings, queries with documents to rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan
from tokenclock.workload.assemble import drawn_due_times
from tokenclock.workload.lora import assign_lora
from tokenclock.workload.messages import Messages, Prompt, Ranking, Texts
from tokenclock.workload.realised import Workload, workload_sha256

__all__ = ["build_without_output"]


def build_without_output(plan: ServingPlan, build: Callable[[ServingPlan], Workload]) -> Workload:
    """The workload of a backend whose answers are no tokens: output lengths are unknown (-1), due times the plan's.

    Each request of a batch takes `batch_size` prompts of the dataset, a ranking one more, its query, before them.
    A batch holds what a single request would, texts or token ids: so the sizes of a sweep differ in nothing else.
    Raises UsageError where prompts are messages, for a ranking where they are no texts, and where the dataset has too
    few for one request.
    """
    is_ranking = plan.endpoint.backend == "rerank"
    size = plan.endpoint.batch_size + is_ranking
    inner = plan if size == 1 else replace(plan, load=replace(plan.load, num_prompts=plan.load.num_prompts * size))
    flat = build(inner)
    if size == 1:
        return _without_output(plan, flat, flat.prompts, flat.isl_requested, flat.isl_realised, flat.t_due_ns, 1)
    times_itself = flat.mean_rate is not None  # a trace: a request is due with its first text
    n = len(flat) // size
    if n == 0:
        raise UsageError(
            f"--batch-size must be at most {len(flat) - is_ranking}, the texts of the dataset for one request, got "
            f"{plan.endpoint.batch_size}"
        )
    prompts = [_joined(flat.prompts[row * size : (row + 1) * size], is_ranking=is_ranking) for row in range(n)]
    isl, realised = (_sums(column, n, size) for column in (flat.isl_requested, flat.isl_realised))
    due_ns = flat.t_due_ns[: n * size : size] if times_itself else drawn_due_times(plan, n)
    return _without_output(plan, flat, prompts, isl, realised, due_ns, size)


def _without_output(
    plan: ServingPlan,
    flat: Workload,
    prompts: Sequence[Prompt],
    isl: npt.NDArray[np.int32],
    realised: npt.NDArray[np.int32],
    due_ns: npt.NDArray[np.int64],
    size: int,
) -> Workload:
    osl = np.full(len(prompts), -1, dtype=np.int32)
    lora_index = flat.lora_index if size == 1 else assign_lora(plan, len(prompts))
    names = (*flat.lora_modules, "")  # -1 is the last: the model itself
    models = None if lora_index is None else [names[index] for index in lora_index.tolist()]
    is_ranking = plan.endpoint.backend == "rerank"

    def draw_spares(count: int) -> list[tuple[Prompt, int]]:
        drawn = [prompt for prompt, _ in flat.spare_prompts(count * size)]
        if size == 1:
            return [(prompt, -1) for prompt in drawn]
        return [(_joined(drawn[at : at + size], is_ranking=is_ranking), -1) for at in range(0, len(drawn), size)]

    return replace(
        flat,
        prompts=prompts,
        isl_requested=isl,
        isl_realised=realised,
        osl_requested=osl,
        t_due_ns=due_ns,
        mean_rate=None if flat.mean_rate is None else flat.mean_rate / size,
        lora_index=lora_index,
        sha256=workload_sha256(prompts, isl, osl, due_ns, models),
        draw_spares=draw_spares,
    )


def _joined(prompts: Sequence[Prompt], *, is_ranking: bool) -> Prompt:
    if any(isinstance(prompt, (Messages, Texts, Ranking)) for prompt in prompts):
        raise UsageError("--batch-size and --backend rerank need prompts of text or token ids, got messages")
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    if not is_ranking:
        return Texts.of([prompt for prompt in prompts if not isinstance(prompt, (Messages, Texts, Ranking))])
    if len(texts) != len(prompts):
        raise UsageError("--backend rerank needs prompts of text, got token ids")
    return Ranking.of(texts[0], texts[1:])


def _sums(column: npt.NDArray[np.int32], n: int, size: int) -> npt.NDArray[np.int32]:
    """Of each request's texts; -1 where one is unknown."""
    grouped = column[: n * size].reshape(n, size)
    return np.where((grouped < 0).any(axis=1), -1, grouped.sum(axis=1)).astype(np.int32)
