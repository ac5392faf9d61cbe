"""The dataset `input_file` of `profile`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import EndpointPlan, InputFileDataset, LoadPlan, ServingPlan
from tokenclock.workload import Workload, build_workload


def build(path: Path, n: int = 5, **dataset: Any) -> Workload:
    endpoint = EndpointPlan("m", backend="openai-chat")
    return build_workload(
        ServingPlan(endpoint=endpoint, load=LoadPlan(num_prompts=n), dataset=InputFileDataset(str(path), **dataset))
    )


def test_lines_are_sent_in_order_and_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n{"text_input": "two"}\n\n{"text": "three"}\n')
    found = build(path, output_mean=7)
    assert list(found.prompts) == ["one", "two", "three", "one", "two"]
    assert set(found.osl_requested.tolist()) == {7}
    assert set(found.isl_requested.tolist()) == {-1}
    assert any("repeat another one" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n{"text": 3}\n', ":2: text must be text, got 3"),
        (b'{"text": "a", "text_input": "b"}\n', ":1: expected one of the keys text and text_input, got text and"),
        (b'{"prompt": "a"}\n', ":1: expected one of the keys text and text_input, got prompt"),
        (b'{"text": ""}\n', ":1: text is empty"),
        (b'{"text": "a"}\n\xff\n', ":2: not UTF-8 text"),
        (b'{"text": "a"\n', ":1: expected one JSON object on the line"),
        (b"[3]\n", ":1: expected a JSON object, got int"),
        (b"", "is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        build(path)
    assert f"{path}{message}" in str(caught.value) or f"{path} {message}" in str(caught.value)


def test_a_plan_comes_back_from_json(tmp_path: Path) -> None:
    plan = ServingPlan(EndpointPlan("m"), dataset=InputFileDataset("x", output_mean=3), command="profile")
    assert ServingPlan.from_dict(json.loads(plan.to_json())) == plan
