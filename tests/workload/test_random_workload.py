"""The dataset `random` without a tokenizer: what is sent, that it is unique, repeatable, and fingerprinted."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tokenclock.plan import EndpointPlan, LoadPlan, RandomDataset, ServingPlan
from tokenclock.workload import Workload, build_workload
from tokenclock.workload.realised import workload_sha256
from tokenclock.workload.words import WORDS


def plan(backend: str = "openai", load: dict[str, Any] | None = None, **dataset: Any) -> ServingPlan:
    return ServingPlan(
        EndpointPlan("m", backend=backend),
        LoadPlan(**{"num_prompts": 50} | (load or {})),
        dataset=RandomDataset(**dataset),
    )


def ids_of(workload: Workload) -> set[int]:
    return {number for prompt in workload.prompts for number in prompt if isinstance(number, int)}


def test_completions_get_ids_of_the_asked_lengths() -> None:
    workload = build_workload(plan(input_len=100, output_len=30, range_ratio=0.5, prefix_len=7))
    assert [len(prompt) for prompt in workload.prompts] == workload.isl_requested.tolist()
    assert workload.isl_requested.min() >= 57
    assert workload.isl_requested.max() <= 157
    assert 15 <= workload.osl_requested.min() < workload.osl_requested.max() <= 45
    assert np.array_equal(workload.isl_realised, workload.isl_requested)
    assert workload.isl_requested.dtype == workload.osl_requested.dtype == np.int32
    assert workload.t_due_ns.dtype == np.int64
    assert len(workload) == 50


@pytest.mark.parametrize(
    ("dataset", "n_vocab", "low", "high"),
    [
        ({}, None, 3, 9_999),
        ({"vocab_size": 500}, None, 3, 499),
        ({"vocab_size": 500}, 128_256, 3, 499),
        ({}, 128_256, 256, 126_251),
        ({}, 40, 3, 9_999),
    ],
)
def test_ids_come_from_the_vocabulary_and_avoid_its_special_ends(
    dataset: dict[str, Any], n_vocab: int | None, low: int, high: int
) -> None:
    workload = build_workload(plan(input_len=2000, **dataset), n_vocab=n_vocab)
    ids = ids_of(workload)
    assert low <= min(ids) < low + (high - low) / 50
    assert high - (high - low) / 50 < max(ids) <= high
    assert f"token ids {low}..{high} " in workload.notes[0]


def test_chat_gets_words_and_leaves_the_count_to_the_server() -> None:
    workload = build_workload(plan("openai-chat", input_len=40, prefix_len=3))
    assert all(len(str(prompt).split()) == 43 for prompt in workload.prompts)
    assert set(str(workload.prompts[0]).split()) <= set(WORDS)
    assert workload.isl_realised.tolist() == [-1] * 50
    assert workload.asked_and_got() == {"n_known": 0, "exact_share": None, "largest_difference": None}
    assert "approximate" in workload.notes[0]


def test_chat_gets_ids_when_asked_to_tokenize_here() -> None:
    workload = build_workload(plan("openai-chat", input_len=40, tokenize_on_client=True))
    assert [len(prompt) for prompt in workload.prompts] == [40] * 50


def test_the_prefix_is_shared_and_the_rest_is_not() -> None:
    rows = [list(prompt) for prompt in build_workload(plan(input_len=20, prefix_len=10)).prompts]
    assert len({tuple(row[:10]) for row in rows}) == 1
    assert len({tuple(row[10:]) for row in rows}) == 50


@pytest.mark.parametrize("backend", ["openai", "openai-chat"])
def test_spares_are_of_the_same_kind_and_never_a_measured_prompt(backend: str) -> None:
    workload = build_workload(plan(backend, input_len=2, range_ratio=0.5, vocab_size=40))
    spares = workload.spare_prompts(30)
    measured = {tuple(prompt) for prompt in workload.prompts}
    assert not measured & {tuple(prompt) for prompt, _ in spares}
    assert type(spares[0][0]) is type(workload.prompts[0])
    assert workload.spare_prompts(3) == spares[:3]
    assert all(64 <= osl <= 192 for _, osl in spares)


def test_prompts_that_must_repeat_are_reported() -> None:
    workload = build_workload(plan(input_len=1, vocab_size=16))
    assert "37 of 50 prompts repeat" in workload.notes[-1]  # thirteen ids there are


def test_the_same_plan_is_the_same_workload_and_another_seed_another() -> None:
    first, again = build_workload(plan(range_ratio=0.3)), build_workload(plan(range_ratio=0.3))
    assert first.sha256 == again.sha256
    assert list(first.prompts) == list(again.prompts)
    other = build_workload(plan(load={"seed": 1}, range_ratio=0.3))
    assert other.sha256 != first.sha256
    assert not np.array_equal(other.isl_requested, first.isl_requested)


@pytest.mark.parametrize("change", [{"num_prompts": 60}, {"max_concurrency": 4}, {"request_rate": 5.0}])
def test_each_point_of_a_sweep_has_prompts_of_its_own_but_the_same_lengths(change: dict[str, Any]) -> None:
    first, second = (build_workload(plan(load=load, range_ratio=0.3)) for load in (None, change))
    assert np.array_equal(first.isl_requested, second.isl_requested[:50])
    assert not {tuple(row[:5]) for row in first.prompts} & {tuple(row[:5]) for row in second.prompts}


def test_due_times_follow_the_rate() -> None:
    assert not build_workload(plan()).t_due_ns.any()
    due_ns = build_workload(plan(load={"request_rate": 100.0, "num_prompts": 500})).t_due_ns
    assert 4e9 < due_ns[-1] < 6e9


def test_the_fingerprint_sees_content_lengths_and_times() -> None:
    base = build_workload(plan(load={"request_rate": 10.0}, input_len=5))
    columns = {name: getattr(base, name) for name in ("prompts", "isl_requested", "osl_requested", "t_due_ns")}
    assert workload_sha256(**columns) == base.sha256
    for name in ("isl_requested", "osl_requested", "t_due_ns"):
        changed = columns[name].copy()
        changed[-1] += 1
        assert workload_sha256(**columns | {name: changed}) != base.sha256
    base.prompts.flat[-1] += 1  # type: ignore[attr-defined]
    assert workload_sha256(**columns) != base.sha256


def test_the_fingerprint_of_texts_sees_where_one_ends() -> None:
    zero, due_ns = np.zeros(2, dtype=np.int32), np.zeros(2, dtype=np.int64)
    assert workload_sha256(["ab", "c"], zero, zero, due_ns) != workload_sha256(["a", "bc"], zero, zero, due_ns)
    with pytest.raises(TypeError, match="all text"):
        workload_sha256(["a", [1]], zero, zero, due_ns)


def test_the_fingerprint_is_the_same_on_every_machine_and_version() -> None:
    """Saved results pair with new ones by it: what changes it needs a new version text in workload_sha256."""
    assert build_workload(plan(load={"num_prompts": 3}, input_len=8)).sha256[:16] == "40a26c6c071b31e5"


def test_a_workload_without_spares_says_so() -> None:
    workload = dataclasses.replace(build_workload(plan(input_len=3)), draw_spares=None)
    with pytest.raises(ValueError, match="without a source of spare prompts"):
        workload.spare_prompts(1)
