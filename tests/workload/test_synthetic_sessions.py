"""Conversations of `profile`: turns, pauses, and beginnings on the first turns alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan, SyntheticSessionsDataset
from tokenclock.workload import build_workload


def plan(*, chat: bool = True, **dataset: Any) -> ServingPlan:
    return ServingPlan(
        endpoint=EndpointPlan("m", backend="openai-chat" if chat else "openai"),
        load=LoadPlan(num_prompts=1, max_concurrency=2),
        dataset=SyntheticSessionsDataset(**dataset),
        command="profile",
    )


@pytest.mark.parametrize("chat", [True, False])
def test_turns_follow_each_other(chat: bool) -> None:
    asked = plan(
        chat=chat, n_sessions=3, turns_mean=4, input_mean=5, output_mean=6, n_prefixes=1, prefix_len=10,
        turn_delay_mean_ms=100, delay_ratio=0.5,
    )  # fmt: skip
    found = build_workload(asked, n_vocab=5000)
    assert found.session is not None
    assert found.think_ns is not None
    assert found.session.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.think_ns.tolist() == [0, 50_000_000, 50_000_000, 50_000_000] * 3
    assert found.isl_requested.tolist() == [15, 5, 5, 5] * 3
    assert set(found.osl_requested.tolist()) == {6}
    assert set(found.t_due_ns.tolist()) == {0}
    assert len({json.dumps(prompt) for prompt in found.prompts}) == 12
    assert (found.answer_ids is None) is chat
    if found.answer_ids is not None:
        assert len(found.answer_ids("x", 7)) == 7


def test_turns_and_pauses_are_drawn() -> None:
    found = build_workload(
        plan(n_sessions=2000, turns_mean=5, turns_stddev=2, turn_delay_mean_ms=100, turn_delay_stddev_ms=20)
    )
    assert found.session is not None
    assert found.think_ns is not None
    turns = np.bincount(found.session)
    assert turns.min() == 1
    assert turns.mean() == pytest.approx(4.5, abs=0.2)  # whole parts lose a half on average
    later = found.think_ns[np.diff(found.session, prepend=-1) == 0] / 1e6
    assert later.mean() == pytest.approx(100, abs=2)
    assert later.std() == pytest.approx(20, rel=0.1)


def test_a_plan_comes_back_from_json() -> None:
    asked = plan(n_sessions=3, turns_mean=2)
    assert ServingPlan.from_dict(json.loads(asked.to_json())) == asked
    with pytest.raises(UsageError, match="--num-sessions must be a whole number >= 1, got 0"):
        SyntheticSessionsDataset(n_sessions=0)
