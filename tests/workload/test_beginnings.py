"""No two prompts begin alike, measured or warm-up, of one run or of two with --cache-bust."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tokenclock.plan import (
    Dataset,
    EndpointPlan,
    LoadPlan,
    RandomDataset,
    ServingPlan,
    SyntheticDataset,
    TrtllmBenchDataset,
)
from tokenclock.runtime.in_flight import InFlightRequest
from tokenclock.throughput.prompts import warm_ups
from tokenclock.workload import build_workload
from tokenclock.workload.corpus import CORPUS

_BEGINNING = 16  # tokens


@pytest.fixture(scope="module")
def byte_pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A byte-pair tokenizer as served models have it, learned from the packaged text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([CORPUS], trainer)
    folder = tmp_path_factory.mktemp("pairs")
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def asked(dataset: Dataset, tokenizer: str | None, n: int, nonce: str | None = None) -> ServingPlan:
    endpoint = EndpointPlan("m", backend="openai-chat" if tokenizer else "openai", tokenizer=tokenizer)
    return ServingPlan(endpoint, LoadPlan(num_prompts=n, seed=3, cache_bust=nonce), dataset=dataset)


def beginnings(folder: str, prompts: Iterable[object]) -> list[tuple[int, ...]]:
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    return [tuple(found.ids[:_BEGINNING]) for found in tokenizer.encode_batch([str(prompt) for prompt in prompts])]


@pytest.mark.parametrize(
    "dataset", [SyntheticDataset(n_entries=10_000, input_mean=32), RandomDataset(input_len=32, output_len=1)]
)
def test_of_ten_thousand_prompts_no_two_begin_alike(byte_pairs: str, dataset: Dataset) -> None:
    found = build_workload(asked(dataset, byte_pairs, 10_000))
    spares = [prompt for prompt, _ in found.spare_prompts(20)]
    assert len(set(beginnings(byte_pairs, [*found.prompts, *spares]))) == 10_020
    assert np.array_equal(found.isl_requested, found.isl_realised)


@pytest.mark.parametrize("prefixes", [0, 3])
def test_runs_with_a_nonce_share_no_beginning(byte_pairs: str, prefixes: int) -> None:
    dataset = SyntheticDataset(n_entries=500, input_mean=60, n_prefixes=prefixes, prefix_len=20)
    one, two = (build_workload(asked(dataset, byte_pairs, 500, nonce)) for nonce in ("a", "b"))
    of_one, of_two = (set(beginnings(byte_pairs, found.prompts)) for found in (one, two))
    assert not of_one & of_two
    assert len(of_one) == len(of_two) == (prefixes or 500)


def test_a_plan_without_a_nonce_keeps_its_prompts(byte_pairs: str) -> None:
    plan = asked(SyntheticDataset(n_entries=50, input_mean=40), byte_pairs, 50)
    assert list(build_workload(plan).prompts) == list(build_workload(replace(plan)).prompts)


def test_warm_ups_of_a_throughput_run_begin_as_no_measured_prompt(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).integers(3, 9000, size=(10_000, 32)).tolist()
    requests = [InFlightRequest(row, 4, None) for row in rows]
    fresh = [tuple(request.ids[:_BEGINNING]) for request in warm_ups(requests, 500, 3)]
    measured = {tuple(row[:_BEGINNING]) for row in rows}
    assert len(set(fresh) | measured) == 10_500
    place = tmp_path / "rows.jsonl"
    lines = [{"task_id": at, "input_ids": row, "output_tokens": 4} for at, row in enumerate(rows[:200])]
    place.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    sent = build_workload(asked(TrtllmBenchDataset(str(place)), None, 200))
    assert not measured & {tuple(prompt[:_BEGINNING]) for prompt, _ in sent.spare_prompts(50)}  # type: ignore[index]
