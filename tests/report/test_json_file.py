from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.metrics.facts import RunFacts
from tokenclock.report import json_file
from tokenclock.result import Result

MS = 1_000_000
REQUESTS = [
    {"sent": 0, "tokens": [10 * MS, 30 * MS], "isl_requested": 4},
    {"status": "timeout", "sent": 0, "error": "late \u00e9 \ud800"},
]

KEYS = {
    "date": str,
    "backend": str,
    "model_id": str,
    "tokenizer_id": type(None),
    "num_prompts": int,
    "duration": float,
    "completed": int,
    "failed": int,
    "total_input_tokens": int,
    "total_output_tokens": int,
    "request_throughput": float,
    "request_goodput:": float,
    "request_goodput": float,
    "output_throughput": float,
    "total_token_throughput": float,
    "user_throughput": float,
    "request_rate": str,
    "burstiness": float,
    "max_concurrency": int,
    "mean_ttft_ms": float,
    "median_ttft_ms": float,
    "std_ttft_ms": float,
    "p99_ttft_ms": float,
    "mean_e2el_ms": float,
}


@pytest.fixture
def result(make_result: Any) -> Result:
    facts = RunFacts(
        model="org/name/", num_prompts=2, max_concurrency=2, slos_ms={"ttft": 99}, percentile_metrics=("ttft", "e2el")
    )
    made: Result = make_result(REQUESTS, facts, client={"wall_ns": 50 * MS})
    return made


def test_the_originals_keys_with_their_types(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "r.json"
    json_file.write(result, path)
    data = json.loads(path.read_text())
    assert {key: type(data[key]) for key in KEYS} == KEYS
    assert data["request_rate"] == "inf"
    assert (data["completed"], data["failed"]) == (1, 1)
    assert "ttfts" not in data
    assert Result.load(path).to_dict() == result.to_dict()


def test_file_and_result_hold_the_same_numbers(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "r.json"
    json_file.write(result, path)
    data = json.loads(path.read_text())
    assert data["mean_ttft_ms"] * MS == data["tokenclock"]["latencies"]["ttft"]["mean"]
    assert data["p99_ttft_ms"] * MS == data["tokenclock"]["latencies"]["ttft"]["percentiles"]["linear"]["99"]


def test_arrays_only_when_asked(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "r.json"
    json_file.write(result, path, {"ttfts": [0.01, None]})
    assert json.loads(path.read_text())["ttfts"] == [0.01, None]


def test_a_directory_that_is_not_there_is_an_os_error(tmp_path: Path, result: Result) -> None:
    with pytest.raises(FileNotFoundError):
        json_file.write(result, tmp_path / "none" / "r.json")


def test_lines_are_added_and_read_back(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "all.json"
    for _ in range(2):
        json_file.append(result, path)
    with open(path, "a") as file:
        file.write('{"half')
    json_file.append(result, path, {"ttfts": [0.5]})
    lines = path.read_text().splitlines()
    assert [json.loads(lines[k])["completed"] for k in (0, 1, 3)] == [result.requests["ok"]] * 3
    assert json.loads(lines[3])["ttfts"] == [0.5]
    with pytest.raises(UsageError, match=r"all.json:3 is not JSON"):
        Result.load_all(path)
    path.write_text("\n".join([lines[0], "", lines[3], ""]))
    assert [found.to_dict() for found in Result.load_all(path)] == [result.to_dict()] * 2
    with pytest.raises(UsageError, match=r"all.json holds 2 results, one a line: read them with Result.load_all"):
        Result.load(path)
    path.write_text(lines[0] + "\n")
    assert Result.load(path).to_dict() == result.to_dict()


def test_a_line_the_disk_refuses_leaves_the_file_as_it_was(tmp_path: Path, result: Result) -> None:
    """By a limit on the size of files, which lets half of the second line in."""
    path = tmp_path / "all.json"
    json_file.append(result, path)
    before = path.read_bytes()
    kept, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) * 3 // 2, kept[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            json_file.append(result, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == before
