"""The dataset of `profile`: unique prompts of asked lengths, dealt in turn, with beginnings from a pool."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan, SyntheticDataset
from tokenclock.workload import build_workload
from tokenclock.workload.corpus import CORPUS
from tokenclock.workload.synthetic import normal_lengths


def plan(n: int, *, chat: bool = True, tokenizer: str | None = None, **dataset: Any) -> ServingPlan:
    return ServingPlan(
        endpoint=EndpointPlan("m", backend="openai-chat" if chat else "openai", tokenizer=tokenizer),
        load=LoadPlan(num_prompts=n, seed=5),
        dataset=SyntheticDataset(**dataset),
        command="profile",
    )


@pytest.fixture(scope="module")
def word_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One token for each word and mark of the packaged text."""
    splitter = pre_tokenizers.Whitespace()
    words = sorted({word for word, _ in splitter.pre_tokenize_str(CORPUS)})
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(["?", *words])}, unk_token="?"))
    tokenizer.pre_tokenizer = splitter
    folder = tmp_path_factory.mktemp("words")
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


@pytest.mark.parametrize("chat", [True, False])
def test_prompts_are_unique_and_used_in_turn(chat: bool) -> None:
    found = build_workload(plan(25, chat=chat, n_entries=10, input_mean=7, output_mean=3), n_vocab=5000)
    prompts = [json.dumps(prompt) for prompt in found.prompts]
    assert len(set(prompts[:10])) == 10
    assert prompts[10:20] == prompts[:10]
    assert prompts[20:] == prompts[:5]
    assert set(found.isl_requested.tolist()) == {7}
    assert set(found.osl_requested.tolist()) == {3}


def test_no_answer_length_is_asked_unless_one_is_given() -> None:
    assert set(build_workload(plan(5)).osl_requested.tolist()) == {-1}


@pytest.mark.parametrize("chat", [True, False])
def test_beginnings_come_from_the_pool(chat: bool) -> None:
    found = build_workload(plan(60, chat=chat, n_entries=60, input_mean=4, n_prefixes=3, prefix_len=9), n_vocab=5000)
    rows = [prompt.split() if isinstance(prompt, str) else list(prompt) for prompt in found.prompts]
    assert {len(row) for row in rows} == {13}
    assert len({tuple(row[:9]) for row in rows}) == 3
    assert len({tuple(row) for row in rows}) == 60
    assert found.shared_prefix


def test_a_tokenizer_makes_lengths_exact(word_tokenizer: str) -> None:
    asked = plan(40, tokenizer=word_tokenizer, n_entries=40, input_mean=30, input_stddev=8, n_prefixes=2, prefix_len=20)
    found = build_workload(asked)
    counts = Tokenizer.from_file(f"{word_tokenizer}/tokenizer.json")
    got = [len(counts.encode(str(prompt)).ids) for prompt in found.prompts]
    assert got == found.isl_requested.tolist() == found.isl_realised.tolist()
    assert len(set(got)) > 5
    assert len(set(map(str, found.prompts))) == 40


def test_text_is_of_the_packaged_text_behind_an_opening_of_its_words(word_tokenizer: str) -> None:
    (prompt,) = build_workload(plan(1, tokenizer=word_tokenizer, input_mean=30)).prompts
    spoken = " ".join(word for word, _ in pre_tokenizers.Whitespace().pre_tokenize_str(CORPUS))
    words = str(prompt).split()
    assert " ".join(words[12:]) in f"{spoken} {spoken}"
    assert set(words[:12]) <= set(spoken.split())


def test_lengths_are_whole_parts_of_normal_draws() -> None:
    drawn = normal_lengths(np.random.default_rng(1), 50_000, 100.0, 20.0)
    assert drawn.mean() == pytest.approx(99.5, abs=0.4)  # whole parts lose a half on average
    assert drawn.std() == pytest.approx(20, rel=0.02)
    assert normal_lengths(np.random.default_rng(1), 1000, 1.0, 50.0).min() == 1
    assert set(normal_lengths(np.random.default_rng(1), 9, 10.0, 0.0).tolist()) == {10}


def test_warm_ups_are_no_measured_prompts() -> None:
    found = build_workload(plan(50, n_entries=50, input_mean=5))
    spares = {str(prompt) for prompt, _ in found.spare_prompts(20)}
    assert len(spares) == 20
    assert not spares & set(map(str, found.prompts))


def test_the_seed_decides_and_a_plan_comes_back_from_json(tmp_path: Path) -> None:
    first = plan(20, n_prefixes=1)
    again = ServingPlan.from_dict(json.loads(first.to_json()))
    assert again == first
    assert build_workload(again).sha256 == build_workload(first).sha256
    other = dataclasses.replace(first, load=LoadPlan(num_prompts=20, seed=6))
    assert build_workload(other).sha256 != build_workload(first).sha256
