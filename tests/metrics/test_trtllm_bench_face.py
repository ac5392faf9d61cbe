"""trtllm-bench's numbers of four requests, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.conftest import hand_records

from tokenclock.metrics.trtllm_bench_face import BenchFacts, request_rows, trtllm_bench_face

MS = 1_000_000


def request(sent_ms: int, *token_ms: int, **more: Any) -> dict[str, Any]:
    tokens = [t * MS for t in token_ms]
    return {"sent": sent_ms * MS, "tokens": tokens, "isl_requested": 10, "osl_requested": len(tokens), **more}


# E2EL 40, 20, 60 and a failure; TTFT 10, 20, 20; TPOT 15, none (one token), 10
REQUESTS = [
    request(0, 10, 25, 40),
    request(10, 30),
    request(20, 40, 50, 60, 70, 80),
    request(30, status="stream_error", error="refused"),
]


def facts(**changes: Any) -> BenchFacts:
    values: dict[str, Any] = {
        "engine": {"model": "m", "version": None},
        "world": {"tp_size": 2, "kv_cache_percentage": None},
        "streaming": True,
        "dataset_path": "d.jsonl",
        "isl": np.array([10, 10, 10, 30], np.int32),
        "osl": np.array([3, 1, 5, 4], np.int32),
        "world_size": 2,
        "why_missing": {"engine.version": "no such thing here"},
    }
    return BenchFacts(**{**values, **changes})


def test_the_numbers_of_four_requests() -> None:
    face = trtllm_bench_face(hand_records(REQUESTS), facts())
    found = face["sections"]
    assert face["percentile_rule"] == "floor"
    performance = found["performance"]
    assert performance["total_latency_ms"] == 80  # 0 to 80
    assert performance["request_throughput_req_s"] == pytest.approx(3 / 0.080)
    assert performance["system_output_throughput_tok_s"] == pytest.approx(9 / 0.080)
    assert performance["system_total_throughput_tok_s"] == pytest.approx((30 + 9) / 0.080)
    assert performance["output_throughput_per_gpu_tok_s"] == pytest.approx(9 / 0.080 / 2)
    assert performance["avg_request_latency_ms"] == pytest.approx(40)
    assert performance["output_throughput_per_user_tok_s"] == pytest.approx((3 / 0.040 + 1 / 0.020 + 5 / 0.060) / 3)
    # floor(3 * 0.5) = 1, floor(3 * 0.9) = 2: the maximum from there on
    assert performance["request_latency_percentiles_ms"] == {
        "p50": 40, "p90": 60, "p95": 60, "p99": 60, "minimum": 20, "maximum": 60, "average": pytest.approx(40),
    }  # fmt: skip
    assert found["request_info"] == {
        "num_requests": 3,
        "avg_num_concurrent_requests": pytest.approx(120 / 80),
        "avg_input_length": 10,
        "avg_output_length": 3,
    }
    streaming = found["streaming_metrics"]
    assert streaming["avg_ttft_ms"] == pytest.approx(50 / 3)
    assert streaming["avg_tpot_ms"] == pytest.approx((15 + 10) / 2)
    assert streaming["tpot_percentiles"]["p50"] == 15  # floor(2 * 0.5) = 1: the upper one
    assert streaming["token_output_speed_tok_s"] == pytest.approx((1000 / 15 + 100) / 2)
    assert found["world_info"]["issue_rate"] == pytest.approx(
        2 / 0.020
    )  # two gaps over 20 ms, of those that ended well
    assert found["dataset"]["max_isl"] == 30
    assert found["dataset"]["avg_isl"] == 15
    assert found["dataset"]["seq_len_stats"]["maximum"] == 34
    assert found["dataset"]["num_requests"] == 4


def test_what_is_missing_is_none_with_its_reason() -> None:
    face = trtllm_bench_face(hand_records(REQUESTS), facts(isl=np.array([10, -1, 10, 30], np.int32)))
    assert face["left_out"]["engine.version"] == "no such thing here"
    assert face["left_out"]["world_info.kv_cache_percentage"]
    assert face["sections"]["dataset"]["isl_stats"] is None
    assert "dataset.isl_stats" in face["left_out"]
    assert "performance.total_latency_ms" not in face["left_out"]


def test_a_run_without_an_answer_has_no_zeros() -> None:
    face = trtllm_bench_face(hand_records([request(0, status="stream_error", error="x")]), facts())
    performance = face["sections"]["performance"]
    assert all(value is None for value in performance.values())
    assert all(value is None for value in face["sections"]["streaming_metrics"].values())
    assert face["sections"]["request_info"]["num_requests"] == 0


def test_without_streaming_there_is_no_such_section() -> None:
    records = hand_records([{"sent": 0, "last": 5 * MS, "osl": 3, "isl_requested": 4}])
    found = trtllm_bench_face(records, facts(streaming=False))["sections"]
    assert "streaming_metrics" not in found
    assert found["performance"]["total_latency_ms"] == 5
    assert found["performance"]["system_output_throughput_tok_s"] == pytest.approx(3 / 0.005)


def test_the_records_of_requests() -> None:
    records = hand_records(REQUESTS)
    rows = request_rows(records, np.array([7, 8, 9, 10]), ["a", None, "c", None], np.array([10, 10, 10, 10]))
    first, single, _, failed = rows
    assert first["id"] == 7
    assert first["end_to_end_latency"] == 40 * MS
    assert first["time_to_first_token"] == 10 * MS
    assert first["generation_time"] == 30 * MS
    assert first["intertoken_latency"] == 15 * MS
    assert first["num_total_output_tokens"] == 3
    assert first["num_generated_tokens"] == 2
    assert first["output_token_throughput"] == pytest.approx(3 / (40 * MS))
    assert first["generation_token_throughput"] == pytest.approx(2 / (30 * MS))
    assert first["end_timestamp"] - first["start_timestamp"] == 40 * MS
    assert single["intertoken_latency"] is None, "the original says 0"
    assert (failed["error"], failed["error_tokens"], failed["end_to_end_latency"]) == ("refused", 1, None)
