"""Requests are spread over adapters: drawn or dealt, kept per row, part of the fingerprint, named in each body."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from tokenclock.plan import EndpointPlan, LoadPlan, RandomDataset, ServingPlan
from tokenclock.serving.endpoint import request_body
from tokenclock.workload import build_workload
from tokenclock.workload.lora import assign_lora


def plan(assignment: str = "random", modules: tuple[str, ...] = ("a", "b", "c"), seed: int = 0) -> ServingPlan:
    endpoint = EndpointPlan("m", served_model_name="base", lora_modules=modules, lora_assignment=assignment)
    return ServingPlan(endpoint, LoadPlan(num_prompts=900, seed=seed), dataset=RandomDataset(input_len=4))


def test_round_robin_deals_in_turn() -> None:
    rows = assign_lora(plan("round-robin"), 5)
    assert rows is not None
    assert rows.tolist() == [0, 1, 2, 0, 1]


def test_random_draws_each_row_from_the_seed() -> None:
    workload = build_workload(plan())
    assert workload.lora_index is not None
    counts = workload.lora_counts()
    assert list(counts) == ["a", "b", "c"]
    assert sum(counts.values()) == 900
    assert all(240 < count < 360 for count in counts.values())  # 300 each, 4 sigma are 57
    assert np.array_equal(workload.lora_index, build_workload(plan()).lora_index)
    assert not np.array_equal(workload.lora_index, build_workload(plan(seed=1)).lora_index)


def test_adapters_change_the_fingerprint_and_nothing_else() -> None:
    without, dealt, drawn = (build_workload(p) for p in (plan(modules=()), plan("round-robin"), plan()))
    assert len({without.sha256, dealt.sha256, drawn.sha256}) == 3
    assert (without.lora_index, without.lora_counts()) == (None, {})
    assert list(without.prompts) == list(dealt.prompts)


def test_each_body_names_its_adapter() -> None:
    names = [json.loads(request_body(plan(), "x", 3, row))["model"] for row in (0, 1, 2, -1)]
    assert names == ["a", "b", "c", "base"]
    own = replace(plan(), generation=replace(plan().generation, extra_body={"model": "mine"}))
    assert json.loads(request_body(own, "x", 3, 1))["model"] == "mine"


def test_zipf_names_the_first_ones_more_often() -> None:
    endpoint = EndpointPlan("m", lora_modules=("a", "b", "c"), lora_assignment="zipf", lora_zipf=1.0)
    rows = assign_lora(ServingPlan(endpoint), 11_000)
    assert rows is not None
    counts, expected = np.bincount(rows, minlength=3), np.array([6000, 3000, 2000])
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # 0.1 % point at 2 degrees of freedom
