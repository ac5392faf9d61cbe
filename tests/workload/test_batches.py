"""Requests of several inputs: every batch size of a run is of one form."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import EndpointPlan, LoadPlan, RandomDataset, ServingPlan
from tokenclock.workload.batches import build_without_output
from tokenclock.workload.build import build_workload
from tokenclock.workload.messages import Messages, Prompt, Texts
from tokenclock.workload.realised import Workload


def embeddings(size: int, n: int = 4) -> ServingPlan:
    return ServingPlan(
        EndpointPlan("m", backend="embeddings", batch_size=size),
        LoadPlan(num_prompts=n, streaming=False),
        dataset=RandomDataset(input_len=6, output_len=1, vocab_size=500),
    )


@pytest.mark.parametrize("size", [1, 2, 5])
def test_every_size_sends_token_ids_of_the_asked_length(size: int) -> None:
    built = build_workload(embeddings(size))
    rows: list[list[list[int]]] = [
        json.loads(prompt.json) if isinstance(prompt, Texts) else [list(prompt)]  # type: ignore[arg-type]
        for prompt in [*built.prompts, built.spare_prompts(1)[0][0]]
    ]
    assert [len(batch) for batch in rows] == [size] * 5
    ids = [tuple(one) for batch in rows for one in batch]
    assert {len(one) for one in ids} == {6}
    assert all(isinstance(value, int) and value < 500 for one in ids for value in one)
    assert len(set(ids)) == len(ids)  # the spare one too
    assert built.isl_realised.tolist() == built.isl_requested.tolist() == [6 * size] * 4


def given(prompts: Sequence[Prompt]) -> Workload:
    """A workload of these prompts."""
    n = len(prompts)
    column = np.full(n, 3, np.int32)
    return Workload("recorded", prompts, column, column, column, np.zeros(n, np.int64), "")


def test_recorded_texts_stay_texts_and_messages_are_refused() -> None:
    built = build_without_output(embeddings(2, 2), lambda _: given(["a", "b", "c", "d"]))
    assert [prompt.json for prompt in built.prompts if isinstance(prompt, Texts)] == ['["a","b"]', '["c","d"]']
    chats = [Messages.of([{"role": "user", "content": word}]) for word in "abcd"]
    with pytest.raises(UsageError, match="need prompts of text or token ids, got messages"):
        build_without_output(embeddings(2, 2), lambda _: given(chats))


def test_a_ranking_is_of_texts() -> None:
    plan = ServingPlan(EndpointPlan("m", backend="rerank", batch_size=1), LoadPlan(num_prompts=2, streaming=False))
    with pytest.raises(UsageError, match="--backend rerank needs prompts of text, got token ids"):
        build_without_output(plan, lambda _: given([[1], [2], [3], [4]]))
