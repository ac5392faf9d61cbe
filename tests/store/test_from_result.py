from __future__ import annotations

import json
import zlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tokenclock.metrics.facts import RunFacts
from tokenclock.readers.foreign import ForeignResult
from tokenclock.readers.ours import OwnResult
from tokenclock.readers.read import read_file
from tokenclock.report import json_file
from tokenclock.result import Result
from tokenclock.store.from_result import records_of
from tokenclock.store.record import MetricValue, hash_of

MS = 1_000_000
GOLDEN = Path(__file__).resolve().parent.parent / "golden"
REQUESTS = [{"sent": 0, "tokens": [10 * MS, 20 * MS]}, {"sent": 0, "tokens": [30 * MS, 50 * MS]}]


def test_a_load_test(tmp_path: Path, make_result: Any) -> None:
    path = tmp_path / "run.json"
    json_file.write(make_result(REQUESTS, RunFacts()), path)
    (found,) = read_file(path)
    (record,) = records_of(found)
    assert (record.kind, record.tool, record.source) == ("serving", "tokenclock", str(path))
    assert record.metrics["ttft.mean"] == MetricValue(20.0 * MS, None, None, "ns")
    assert record.metrics["itl.p99"].value == 20 * MS
    assert record.metrics["failure_share"] == MetricValue(0.0, None, None, "share")
    assert record.metrics["output_throughput"].unit == "1/s"
    assert record.content is not None
    assert isinstance(found, OwnResult)
    assert Result.from_dict(json.loads(zlib.decompress(record.content))) == found.result


def test_the_same_run_has_one_hash_whatever_file_it_is_in(tmp_path: Path, make_result: Any) -> None:
    result = make_result(REQUESTS, RunFacts())
    one, other = tmp_path / "run.json", tmp_path / "copy.json"
    json_file.write(result, one)
    other.write_text(json.dumps(json.loads(one.read_text()), indent=7))
    hashes = {
        record.hash
        for found in (*read_file(one), *read_file(other), OwnResult(Path("x"), result, None))
        for record in records_of(found, tags={"a": str(found.path)}, label="b", test="c")
    }
    assert len(hashes) == 1
    json_file.write(make_result(REQUESTS[:1], RunFacts()), other)
    assert records_of(read_file(other)[0])[0].hash not in hashes


def test_what_is_given_is_beside_or_in_place_of_the_result_s_own(tmp_path: Path) -> None:
    found = ForeignResult(tmp_path / "v.json", "vllm", label="own", values={"ttft.mean": 1.0})
    extra = {"BUILD_TIME": MetricValue(3.0, None, None, "s")}
    (record,) = records_of(found, tags={"k": "v"}, label="given", test="t", extra_metrics=extra, source="-")
    assert (record.label, record.test, record.tags, record.source) == ("given", "t", {"k": "v"}, "-")
    assert record.metrics == {"ttft.mean": MetricValue(1.0, None, None, "ns"), **extra}
    assert records_of(found)[0].label == "own"


def test_another_tool_s_file() -> None:
    found = ForeignResult(
        Path("v.json"), "vllm", model="m\0", created="20260102-030405",
        asked={"concurrency": 4, "request_rate": float("inf"), "isl": 12.0, "world_size": 2, "streaming": True},
        values={"ttft.mean": 5e6, "output_throughput": 100.0, "tpot.p99": float("nan")},
    )  # fmt: skip
    (record,) = records_of(found)
    assert (record.tool, record.model, record.state, record.kind) == ("vllm", "m", "unknown", "")
    assert (record.concurrency, record.request_rate, record.gpu_count) == (4, float("inf"), 2)
    assert (record.isl, record.streaming, record.content) == (12.0, True, None)
    assert record.created == datetime(2026, 1, 2, 3, 4, 5).astimezone(timezone.utc)
    assert set(record.metrics) == {"ttft.mean", "output_throughput"}
    assert record.metrics["output_throughput"].unit == "1/s"


def test_files_of_other_tools_that_we_keep_samples_of() -> None:
    for name in ("genai_perf.json", "trtllm_bench_report.json", "trtllm_bench.log", "genai_perf.csv"):
        records = [record for found in read_file(GOLDEN / name) for record in records_of(found)]
        assert records, name
        assert all(record.metrics for record in records), name


def case(status: str, batch_size: int) -> dict[str, Any]:
    entry = {
        "batch_size": batch_size,
        "input_len": 8,
        "output_len": 4,
        "status": status,
        "label": f"batch {batch_size}",
    }
    if status != "measured":
        return entry
    latency = {"mean": 2.0 * MS, "median": 2.0 * MS, "percentiles": {"rank": {"99": 3.0 * MS}}}
    return {**entry, "n": 3, "latencies": {"latency": latency}, "throughput": {"unit": "1/s", "output_throughput": 9.0}}


def test_an_offline_result_has_a_record_for_each_case(tmp_path: Path, make_result: Any) -> None:
    data = {
        **make_result(REQUESTS, RunFacts()).to_dict(), "kind": "benchmark",
        "cases": [case("failed", 1), case("measured", 2), case("skipped", 4), case("not_run", 8)],
        "model": {"name": "tiny", "runtime": "ctranslate2"}, "plan": {"family": "dec", "engine_dir": "d"},
    }  # fmt: skip
    records = records_of(OwnResult(tmp_path / "b.json", Result.from_dict(data), None))
    assert [record.batch_size for record in records] == [1, 2, 4, 8]
    assert [record.state for record in records][0::2] == ["failed", "skipped"]
    assert records[3].state == "incomplete"
    assert records[1].metrics["latency.mean"] == MetricValue(2.0 * MS, None, None, "ns")
    assert records[1].metrics["output_throughput"].value == 9.0
    assert records[0].metrics == {}
    assert {(record.model, record.backend, record.isl, record.osl) for record in records} == {
        ("tiny", "ctranslate2", 8, 4)
    }
    assert len({record.hash for record in records}) == 4
    assert len({record.content for record in records}) == 1


def test_hash_of() -> None:
    assert hash_of({"a": 1, "b": {"c": [1.5, "ü"]}}) == hash_of({"b": {"c": [1.5, "ü"]}, "a": 1, "new": None, "e": []})
    assert (
        hash_of({"a": [{"b": 1, "new": {"c": None}}]}) == hash_of({"a": [{"b": 1}]}) != hash_of({"a": [{"b": 1}, {}]})
    )
    assert hash_of({"a": 0}) != hash_of({}) == hash_of({"a": {}})
    with pytest.raises(TypeError):
        hash_of({"a": object()})
