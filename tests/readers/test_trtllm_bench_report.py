from __future__ import annotations

from pathlib import Path

from tokenclock.readers.trtllm_bench_report import recognises, result_of

PERCENTILES = {"p50": 9.0, "p90": 10.0, "p95": 11.0, "p99": 12.0, "minimum": 8.0, "maximum": 13.0, "average": 9.5}
FILE = {
    "engine": {"model": "m", "backend": "Pytorch"},
    "world_info": {"tp_size": 2, "world_size": 2, "max_batch_size": 64, "issue_rate": 1e13},
    "request_info": {"num_requests": 80, "avg_input_length": 512.0, "avg_output_length": 128.0},
    "performance": {
        "total_latency_ms": 10_000.0, "avg_request_latency_ms": 1200.0, "request_throughput_req_s": 8.0,
        "system_output_throughput_tok_s": 1024.0, "output_throughput_per_user_tok_s": 106.7,
        "request_latency_percentiles_ms": {**PERCENTILES, "average": 1200.0, "p99": 1500.0},
    },
    "streaming_metrics": {"avg_ttft_ms": 50.0, "avg_tpot_ms": 9.5, "tpot_percentiles": PERCENTILES},
}  # fmt: skip


def test_its_numbers_in_our_names() -> None:
    found = result_of(FILE, Path("report.json"))
    assert found.values["e2el.mean"] == 1200e6
    assert found.values["e2el.p99"] == 1500e6
    assert found.values["ttft.mean"] == 50e6
    assert (found.values["tpot.mean"], found.values["tpot.p90"]) == (9.5e6, 10e6)
    assert "tpot.minimum" not in found.values
    assert (found.values["output_throughput"], found.values["request_throughput"]) == (1024.0, 8.0)
    assert "total_throughput" not in found.values  # older reports lack it
    assert found.percentile_rule == "floor"
    assert found.asked["streaming"] is True
    assert (found.asked["isl"], found.asked["world_size"], found.model) == (512.0, 2, "m")


def test_without_streaming_there_is_no_ttft() -> None:
    found = result_of({key: value for key, value in FILE.items() if key != "streaming_metrics"}, Path("report.json"))
    assert not [name for name in found.values if name.startswith(("ttft", "tpot"))]
    assert found.asked["streaming"] is False


def test_what_is_no_such_file_is_not_taken_for_one() -> None:
    assert recognises(FILE)
    assert not recognises({"engine": {}, "performance": {}})
