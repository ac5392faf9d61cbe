"""hf: the shapes people publish, read from this machine by the `datasets` package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import HfDataset, ServingPlan
from tokenclock.workload import Messages, build_workload
from tokenclock.workload.datasets.hf_shapes import SHAPES, find_shape

MakePlan = Callable[..., ServingPlan]
Lines = Callable[..., str]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = pytest.importorskip("datasets", reason="pip install 'tokenclock[hf]'")
    monkeypatch.setattr(reader.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_a_file_with_answers(lines_file: Lines, make_plan: MakePlan, word_tokenizer: str) -> None:
    path = lines_file(*({"question": f"w{n} w1", "answer": "w2 " * (n + 1)} for n in range(3)))
    workload = build_workload(make_plan(HfDataset(path, shuffle=False), 3, "openai-chat", word_tokenizer))
    assert list(workload.prompts) == ["w0 w1", "w1 w1", "w2 w1"]
    assert workload.osl_requested.tolist() == [1, 2, 3]
    fixed = build_workload(make_plan(HfDataset(path, output_len=9), 3))
    assert fixed.osl_requested.tolist() == [9, 9, 9]


def test_saved_splits(tmp_path: Path, make_plan: MakePlan) -> None:
    import datasets

    directory = tmp_path / "saved"
    splits = {"validation": {"prompt": ["v1"]}, "test": {"prompt": ["t1", "t2"]}}
    datasets.DatasetDict({name: datasets.Dataset.from_dict(rows) for name, rows in splits.items()}).save_to_disk(
        str(directory)
    )
    workload = build_workload(make_plan(HfDataset(str(directory), split="test", shuffle=False), 2))
    assert list(workload.prompts) == ["t1", "t2"]
    assert workload.osl_requested.tolist() == [200, 200]
    with pytest.raises(UsageError, match=r"--hf-split is needed: .* has validation, test"):
        build_workload(make_plan(HfDataset(str(directory))))
    with pytest.raises(UsageError, match=r"--hf-split must be one of validation, test for .*, got train"):
        build_workload(make_plan(HfDataset(str(directory), split="train")))


def test_pictures_go_into_the_message(tmp_path: Path, make_plan: MakePlan) -> None:
    import datasets
    from PIL import Image

    directory = tmp_path / "pictures"
    rows = {"conversation": [[[{"role": "user", "content": "what?"}]]], "images": [[Image.new("RGB", (4, 3))]]}
    features = datasets.Features(
        {
            "conversation": [[{"role": datasets.Value("string"), "content": datasets.Value("string")}]],
            "images": [datasets.Image()],
        }
    )
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(directory))
    (prompt,) = build_workload(make_plan(HfDataset(str(directory)), 1, "openai-chat")).prompts
    assert isinstance(prompt, Messages)
    text, picture = prompt.to_list()[0]["content"]
    assert text == {"type": "text", "text": "what?"}
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    ("row", "question", "answer"),
    [
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "q", "a"),
        ({"conversations": [{"from": "gpt", "value": "x"}, {"from": "human", "value": "q"}]}, "q", ""),
        ({"turns": ["q", "z"]}, "q", ""),
        ({"instruction": "do", "input": "code", "output": "a"}, "code\n\ndo", ""),
        ({"problem": "q", "solution": "a"}, "q", "a"),
        ({"prompt": "q", "response": "a"}, "q", "a"),
        ({"text": "q"}, "q", ""),
    ],
)
def test_shapes(row: dict[str, Any], question: str, answer: str) -> None:
    shape = find_shape(list(row))
    assert shape is not None
    exchange = SHAPES[shape]("here", row)
    assert exchange is not None
    assert (exchange.messages[-1]["content"], exchange.answer) == (question, answer)


def test_the_system_s_words_stay_and_rows_without_a_question_go() -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    exchange = SHAPES["messages"]("here", {"messages": turns})
    assert exchange is not None
    assert exchange.messages == turns
    assert SHAPES["messages"]("here", {"messages": [{"role": "assistant", "content": "a"}]}) is None
    assert SHAPES["prompt"]("here", {"prompt": ""}) is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": 3}, "here: prompt must be text, got int"),
        ({"turns": "x"}, "here: turns must be a list, got str"),
        ({"turns": [3]}, "here: turns must hold text, got int"),
        ({"messages": [3]}, "here: messages must hold turns with role and content, got int"),
        ({"messages": [{"who": "x"}]}, "here: messages must hold turns with role and content, got who"),
    ],
)
def test_wrong_rows_are_refused(row: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        SHAPES[next(iter(row))]("here", row)
    assert str(caught.value) == said


def test_what_is_not_there_is_not_downloaded(
    tmp_path: Path, lines_file: Lines, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="there is nothing at org/name; tokenclock never downloads data: fetch it"):
        build_workload(make_plan(HfDataset("org/name")))
    with pytest.raises(UsageError, match=r"must be a directory or a file of \.json, \.jsonl, .*, got .*x\.zip"):
        build_workload(make_plan(HfDataset(lines_file(name="x.zip"))))
    with pytest.raises(UsageError, match=r"has no column that holds prompts: expected one of messages, .* got colour"):
        build_workload(make_plan(HfDataset(lines_file({"colour": 1}))))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="cannot be read by the datasets package: "):
        build_workload(make_plan(HfDataset(str(tmp_path / "empty"))))
    path = lines_file({"prompt": "x"})
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"needs the datasets package: pip install 'tokenclock\[hf\]'"):
        build_workload(make_plan(HfDataset(path)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"prompt": "a"}\n{"prompt": \n',
            r"data.jsonl:2: expected one JSON object on the line, got Expecting value",
        ),
        ("", "data.jsonl is empty; expected rows"),
    ],
)
def test_the_first_cause_is_said(lines_file: Lines, make_plan: MakePlan, text: str, said: str) -> None:
    path = lines_file()
    Path(path).write_text(text)
    with pytest.raises(UsageError, match=said):
        build_workload(make_plan(HfDataset(path)))


def test_a_path_that_is_no_path_is_one_line(make_plan: MakePlan) -> None:
    with pytest.raises(UsageError, match="cannot be read: File name too long"):
        build_workload(make_plan(HfDataset("x" * 300)))
    with pytest.raises(UsageError, match="must be a directory or a file for --dataset-name hf, got /dev/zero"):
        build_workload(make_plan(HfDataset("/dev/zero")))


def test_a_cache_that_cannot_be_written_names_its_variable(
    lines_file: Lines, make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "other/file/cache")
    with pytest.raises(UsageError, match=r"cannot write its cache .*; set HF_HOME to a folder"):
        build_workload(make_plan(HfDataset(lines_file({"prompt": "a"}))))
