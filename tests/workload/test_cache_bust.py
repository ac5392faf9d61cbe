"""A nonce sets every prompt apart from those of other runs, and changes nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import (
    CustomDataset,
    Dataset,
    EndpointPlan,
    LoadPlan,
    RandomDataset,
    ServingPlan,
    TraceDataset,
)
from tokenclock.workload import Messages, Workload, build_workload


def built(dataset: Dataset, nonce: str | None, backend: str = "openai") -> Workload:
    return build_workload(
        ServingPlan(EndpointPlan("m", backend=backend), LoadPlan(4, cache_bust=nonce), dataset=dataset)
    )


def test_made_up_prompts_follow_from_the_nonce() -> None:
    dataset = RandomDataset(input_len=40, output_len=5, prefix_len=10)
    plain, one, again, two = (built(dataset, nonce) for nonce in (None, "a", "a", "b"))
    assert plain.sha256 == built(dataset, None).sha256
    assert one.sha256 == again.sha256
    assert len({plain.sha256, one.sha256, two.sha256}) == 3
    assert one.isl_requested.tolist() == plain.isl_requested.tolist()
    assert one.prompts[0][:10] != two.prompts[0][:10]  # type: ignore[index]  # the shared prefix too


def test_recorded_prompts_begin_with_it(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"say {n}"}) + "\n" for n in range(4)), "utf-8")
    dataset = CustomDataset(str(path), shuffle=False)
    assert list(built(dataset, "x1").prompts) == [f"[x1] say {n}" for n in range(4)]
    chat = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], "output_length": 2}
    path.write_text((json.dumps(chat) + "\n") * 4, "utf-8")
    first = built(TraceDataset(str(path)), "x1", "openai-chat").prompts[0]
    assert isinstance(first, Messages)
    assert first.to_list()[0]["content"] == "[x1] s"


def test_recorded_ids_keep_their_number_and_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    rows = [{"input_ids": [1, *range(100 + n, 120 + n)], "output_tokens": 2} for n in range(3)] + [
        {"input_ids": [7, 8], "output_tokens": 2}
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    plain, one, two = (list(built(TraceDataset(str(path)), nonce).prompts) for nonce in (None, "a", "b"))
    known = {value for row in rows for value in row["input_ids"]}  # type: ignore[attr-defined]
    for a, b, p in zip(one, two, plain, strict=True):
        assert len(a) == len(p)  # type: ignore[arg-type]
        assert set(a) <= known
        assert a[:9] != b[:9]  # type: ignore[index]
        assert a[9:] == p[9:]  # type: ignore[index]
    assert one[0][0] == 1  # type: ignore[index]


def test_a_nonce_is_a_word() -> None:
    with pytest.raises(UsageError, match="--cache-bust must be 1 to 64 letters, digits, dots, dashes or underscores"):
        replace(LoadPlan(), cache_bust="a b")
