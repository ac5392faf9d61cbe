"""Files of rows: both JSON forms read alike, in a window that slides, and faults said with their line."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenclock.errors import UsageError
from tokenclock.workload.datasets import reading
from tokenclock.workload.datasets.reading import read_objects

VALUES = st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())), min_size=1, max_size=8)


@given(values=VALUES, window=st.integers(1, 40), indent=st.sampled_from([None, 1]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_list_reads_the_same_through_any_window(
    tmp_path: Path, values: list[dict[str, object]], window: int, indent: int | None
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(values, indent=indent), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK", window)
        rows = list(read_objects(str(path), "sharegpt"))
    assert [row for _, row in rows] == values
    if indent is None:
        assert {line for line, _ in rows} == {1}
    else:
        lines = path.read_text("utf-8").split("\n")
        assert all(lines[line - 1].lstrip().startswith("{") for line, _ in rows)


def test_lines_and_lists_give_the_same_rows_with_their_own_line_numbers(tmp_path: Path) -> None:
    lines, whole = tmp_path / "a.jsonl", tmp_path / "a.json"
    lines.write_text('\n{"a": 1}\n\n{"a": 2}\n', "utf-8-sig")
    whole.write_text('\n[\n{"a": 1},\n\n{"a": 2}\n]\n', "utf-8")
    assert list(read_objects(str(lines), "custom")) == [(2, {"a": 1}), (4, {"a": 2})]
    assert list(read_objects(str(whole), "custom")) == [(3, {"a": 1}), (5, {"a": 2})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", " is empty; expected a JSON list or JSON lines"),
        (" \n \n", " is empty; expected a JSON list or JSON lines"),
        ("[]", " holds no rows"),
        ('{"a": 1}\n{"a": }\n', ":2: expected one JSON object on the line, got Expecting value at column 7"),
        ('{"a": 1}\n[1]\n', ":2: expected a JSON object, got list"),
        ("hello\n", ":1: expected one JSON object on the line, got Expecting value at column 1"),
        ('[{"a": 1},\n{"a": 2]', ":2: not JSON: Expecting ',' delimiter"),
        ('[{"a": 1},\n3]', ":2: expected a JSON object, got int"),
        ('[{"a": 1}\n{"a": 2}]', ":2: expected , or ] after an element of the JSON list"),
        ('[{"a": 1},\n', ":2: the JSON list ends without ]; is the file cut short?"),
        ('[{"a": 1}]\nx', ":2: expected the end of the file after the JSON list"),
        ('[{"a": "', ":1: not JSON: Unterminated string starting at"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError) as caught:
        list(read_objects(str(path), "custom"))
    assert str(caught.value) == f"{path}{said}"


def test_a_missing_file_a_directory_and_other_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*; tokenclock never downloads data: fetch it first"):
        list(read_objects(str(tmp_path / "no.json"), "sharegpt"))
    with pytest.raises(UsageError, match="must be a file for --dataset-name sharegpt, got the directory"):
        list(read_objects(str(tmp_path), "sharegpt"))
    (tmp_path / "b").write_bytes(b'{"a": 1}\n{"a": "\xff"}')
    with pytest.raises(UsageError, match=r"/b:2: not UTF-8 text \(invalid start byte\); is it the right file"):
        list(read_objects(str(tmp_path / "b"), "sharegpt"))


def test_a_large_list_is_read_without_holding_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"n": number, "t": "x" * 50} for number in range(2000)]), "utf-8")
    monkeypatch.setattr(reading, "_CHUNK", 1000)
    sizes: list[int] = []
    fill: Callable[..., None] = reading._ListReader._fill

    def watched(reader: reading._ListReader, size: int) -> None:
        fill(reader, size)
        sizes.append(len(reader._window))

    monkeypatch.setattr(reading._ListReader, "_fill", watched)
    assert [row["n"] for _, row in read_objects(str(path), "sharegpt")] == list(range(2000))
    assert max(sizes) < 3000


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("x" * 300, "cannot be read: File name too long"),
        ("/dev/zero", "must be a file or a pipe, got /dev/zero, which is a device or a socket"),
    ],
)
def test_what_can_never_be_a_dataset_is_refused(path: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        list(read_objects(path, "custom"))


def test_a_folder_that_may_not_be_entered_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:  # root may enter any
        patch.setattr(reading.os, "stat", refuse)
        with pytest.raises(UsageError, match="cannot be read: Permission denied"):
            list(read_objects(str(tmp_path / "a.json"), "custom"))


@pytest.mark.parametrize("text", ['{"a": ' + "[" * 100_000, '[{"a": ' + "[" * 100_000], ids=["lines", "list"])
def test_json_nested_too_deeply_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"deep.json:1: the JSON is nested too deeply"):
        list(read_objects(str(path), "custom"))


def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=('{"a": 1}\n',))
    writer.start()
    assert list(read_objects(str(pipe), "custom")) == [(1, {"a": 1})]
    writer.join()
