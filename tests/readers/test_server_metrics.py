from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokenclock.readers import server_metrics


def test_beside_the_result(tmp_path: Path) -> None:
    result = tmp_path / "concurrency_16.json"
    assert server_metrics.metrics_path(result) is None
    beside = tmp_path / "concurrency_16.metrics.jsonl"
    beside.write_text("")
    assert server_metrics.metrics_path(result) == beside


def test_by_the_index_of_the_sweep(tmp_path: Path) -> None:
    result = tmp_path / "srv/m-openai-chat-concurrency16/concurrency_16_genai_perf.json"
    point = {"file": str(result.relative_to(tmp_path)), "files": {"metrics": "srv/concurrency_16.metrics.jsonl"}}
    result.parent.mkdir(parents=True)
    (tmp_path / "index.json").write_text(json.dumps({"points": [{"file": "other.json", "files": {}}, point]}))
    assert server_metrics.metrics_path(result) is None  # named, and not there
    (tmp_path / "srv/concurrency_16.metrics.jsonl").write_text("")
    assert server_metrics.metrics_path(result) == tmp_path / "srv/concurrency_16.metrics.jsonl"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"points": 3}', '{"points": [{}]}'])
def test_an_index_of_something_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    assert server_metrics.metrics_path(tmp_path / "a.json") is None


def test_lines_that_are_no_readings_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.metrics.jsonl"
    path.write_text('{"monotonic_ns": 1, "values": {}}\n[]\n7\n{"monotonic_ns": "x"}\n{"monotonic_ns": 2, "val')
    assert [reading["monotonic_ns"] for reading in server_metrics.read(path)] == [1]
