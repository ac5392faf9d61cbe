from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.metrics.facts import RunFacts
from tokenclock.readers.foreign import ForeignResult
from tokenclock.readers.ours import OwnResult
from tokenclock.readers.read import read_directory, read_file
from tokenclock.report import columns_file, json_file

MS = 1_000_000
SERVING = {"completed": 3, "request_throughput": 2.0, "duration": 1.5, "mean_ttft_ms": 20.0}
LINE = "[BENCHMARK] model_name m batch_size 1 latency(ms) 3.5\n"


@pytest.fixture
def ours(tmp_path: Path, make_result: Any, make_records: Any) -> Path:
    requests = [{"sent": 0, "tokens": [10 * MS, 20 * MS]}]
    path = tmp_path / "run.json"
    json_file.write(make_result(requests, RunFacts()), path)
    columns_file.write(make_records(requests), columns_file.columns_path(path))
    return path


def test_our_own_with_its_columns(ours: Path) -> None:
    (found,) = read_file(ours)
    assert isinstance(found, OwnResult)
    assert found.result.latencies["ttft"]["mean"] == 10 * MS
    records = found.records()
    assert records is not None
    assert records.n_events == 2
    columns_file.columns_path(ours).unlink()
    (alone,) = read_file(ours)
    assert isinstance(alone, OwnResult)
    assert alone.records() is None


def test_lines_of_results(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps({**SERVING, "mean_ttft_ms": ttft}) + "\n" for ttft in (1.0, 2.0)))
    assert [found.values["ttft.mean"] for found in read_file(path) if isinstance(found, ForeignResult)] == [1e6, 2e6]


def test_a_directory_is_walked_and_what_is_no_result_is_passed_over(tmp_path: Path, ours: Path) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "trt.json").write_text(json.dumps(SERVING))
    (folder / "inputs.json").write_text('{"data": []}')
    (folder / "notes.txt").write_text("nothing\n")
    (folder / "bench.log").write_text(LINE)
    (folder / "same.csv").write_text("model_name,batch_size,latency(ms)\nm,1,3.5\n")
    (folder / ".hidden.json").write_text("{")
    found = read_directory(tmp_path)
    assert [result.path.name for result in found] == ["run.json", "bench.log", "trt.json"]


def test_a_log_of_trtllm_bench(tmp_path: Path) -> None:
    path = tmp_path / "bench.log"
    path.write_text(
        "[01/02/2026-03:04:05] [TRT-LLM] [I] Starting benchmark...\n"
        "Number of requests:             80\n"
        "Request Throughput (req/sec):                     8.0000\n"
        "Total Latency (ms):                               10000.0000\n"
        "Average request latency (ms):                     1200.0000\n"
        "[TTFT] P99    : 80.5\n"
    )
    (found,) = read_file(path)
    assert isinstance(found, ForeignResult)
    assert (found.tool, found.n_requests, found.percentile_rule) == ("trtllm-bench", 80, "floor")
    assert found.values == {"request_throughput": 8.0, "e2el.mean": 1200e6, "ttft.p99": 80.5e6}


def test_of_an_export_in_two_forms_the_json_is_taken(tmp_path: Path) -> None:
    metric = {"unit": "ms", "avg": 5.0}
    (tmp_path / "x_genai_perf.json").write_text(json.dumps({"request_latency": metric}))
    (tmp_path / "x_genai_perf.csv").write_text("Metric,avg,min\nRequest Latency (ms),5.01,5\n")
    (found,) = read_directory(tmp_path)
    assert found.path.suffix == ".json"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'{"completed": 3,\n "dura', r"a\.json:2 is no whole JSON"),
        ("a.json", b'{"a": 1}\n{"b": ', r"a\.json:2 is no whole JSON"),
        ("a.json", b"\xff\xfe", r"a\.json:1 is no JSON: not UTF-8 at byte 0"),
        ("a.json", b"[" * 99999, r"a\.json:1 is no JSON that can be read: maximum recursion depth"),
        ("a.json", b"9" * 5000, r"a\.json:1 is no JSON that can be read: Exceeds the limit"),
        ("a.json", b"[1, 2]", r"a\.json holds no result: expected a result of tokenclock"),
        ("a.log", b"nothing", r"a\.log holds no result"),
        ("a.bin", b"\x00\x01", r"a\.bin holds no result"),
        ("a.json", b'{"tokenclock": {"schema_version": "2.0"}}', r"a\.json: expected a result of schema 1.*, got 2\.0"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_file(path)


def test_a_file_of_2_gb_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with open(path, "wb") as file:
        file.truncate(2 << 30)  # takes no room on the disk
    with pytest.raises(UsageError, match=r"a\.json holds no result: expected a result of tokenclock"):
        read_file(path)
    assert read_directory(tmp_path) == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*nowhere.json: No such file"):
        read_file(tmp_path / "nowhere.json")
    with pytest.raises(UsageError, match=r"cannot read .*nowhere: No such file"):
        read_directory(tmp_path / "nowhere")
