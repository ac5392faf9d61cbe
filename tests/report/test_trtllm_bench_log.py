"""The log: against a golden file, and lines without a value."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from tokenclock.report.trtllm_bench_log import render

GOLDEN = Path(__file__).parents[1] / "golden" / "trtllm_bench.log"


def percentiles(start: float) -> dict[str, float]:
    names = ("p50", "p90", "p95", "p99", "minimum", "maximum", "average")
    return {name: start + index / 8 for index, name in enumerate(names)}


FACE: dict[str, Any] = {
    "sections": {
        "engine": {
            "model": "llama_hf",
            "model_path": "/models/llama",
            "engine_dir": None,
            "version": "1.2.1",
            "backend": "Pytorch",
            "dtype": "bfloat16",
            "kv_cache_dtype": "auto",
            "quantization": "FP8",
        },
        "world_info": {
            "tp_size": 2,
            "pp_size": 1,
            "ep_size": None,
            "world_size": 2,
            "max_batch_size": 512,
            "max_num_tokens": 2048,
            "scheduling_policy": "guaranteed_no_evict",
            "kv_cache_percentage": 0.9,
            "issue_rate": 123456.78,
        },
        "request_info": {
            "num_requests": 3000,
            "avg_num_concurrent_requests": 2870.5424,
            "avg_input_length": 128.0,
            "avg_output_length": 127.5,
        },
        "performance": {
            "total_latency_ms": 22560.25,
            "avg_request_latency_ms": 21587.125,
            "request_throughput_req_s": 132.975,
            "system_output_throughput_tok_s": 16954.3125,
            "system_total_throughput_tok_s": 33975.1125,
            "output_throughput_per_user_tok_s": 5.925,
            "output_throughput_per_gpu_tok_s": 8477.15625,
            "request_latency_percentiles_ms": percentiles(20000.5),
        },
        "streaming_metrics": {
            "token_output_speed_tok_s": 6.25,
            "avg_ttft_ms": 1044.5,
            "avg_tpot_ms": 160.125,
            "tpot_percentiles": percentiles(160.0),
            "ttft_percentiles": percentiles(1000.0),
            "gen_tps_percentiles": percentiles(6.0),
        },
        "dataset": {
            "isl_stats": percentiles(128.0),
            "osl_stats": percentiles(100000.0),
            "seq_len_stats": percentiles(99999.0),
            "num_requests": 3000,
            "dataset_path": "/data/synthetic.jsonl",
        },
    }
}


def test_the_log_is_the_golden_one() -> None:
    assert render(FACE) == GOLDEN.read_text()


def test_lines_without_a_value_are_left_out() -> None:
    face = copy.deepcopy(FACE)
    face["sections"]["engine"]["version"] = None
    face["sections"]["world_info"]["kv_cache_percentage"] = None
    face["sections"]["streaming_metrics"]["tpot_percentiles"] = None
    face["sections"]["streaming_metrics"]["avg_tpot_ms"] = None
    face["sections"]["dataset"]["isl_stats"] = None
    log = render(face)
    gone = ("TensorRT LLM Version:", "KV Memory Percentage:", "[TPOT] P50", "[TPOT] (ms):", "Seq. Length")
    assert all(text in render(FACE) for text in gone)
    assert not any(text in log for text in gone)
    assert "None" not in log


def test_other_runtimes_have_their_own_heading() -> None:
    face = copy.deepcopy(FACE)
    for backend, title in (("ctranslate2", "CTRANSLATE2 BACKEND"), ("TRT", "ENGINE DETAILS"), ("Pytorch", "PYTORCH")):
        face["sections"]["engine"]["backend"] = backend
        assert f"= {title}" in render(face).splitlines()[1]
