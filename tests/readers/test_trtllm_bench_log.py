"""The reader of trtllm-bench's log: on our own log (a round trip), on scientific notation, on logs with holes."""

from __future__ import annotations

import pytest
from tests.report.test_trtllm_bench_log import FACE

from tokenclock.readers.trtllm_bench_log import read_log
from tokenclock.report import trtllm_bench_log

LOG = trtllm_bench_log.render(FACE).splitlines()
PREFIX = "[11/24/2026-10:00:00] [TRT-LLM] [I] "


def test_every_line_of_a_log_is_read_back() -> None:
    log = read_log(LOG)
    assert log.is_report
    assert log.missing == ()
    for section, values in log.sections.items():
        for key, value in values.items():
            written = FACE["sections"][section][key]
            if isinstance(written, dict):
                assert value == pytest.approx(written, abs=5e-5), key
            elif isinstance(written, float):
                assert value == pytest.approx(written, rel=1e-4, abs=5e-5), key
            else:
                assert value == written, key


def test_the_numbers_of_the_performance_tests() -> None:
    log = read_log(
        [
            PREFIX + "Engine generation completed in 41.25 seconds.",
            PREFIX + "[MemUsageChange] Allocated 1.50 GiB for max tokens in paged KV cache (96).",
            PREFIX + "[MemUsageChange] Allocated 30.25 GiB for max tokens in paged KV cache (4096).",
            PREFIX + "Request Throughput (req/sec):                     1.5e+02",
            "Total Latency (ms):                               2,500.5000",
            "Issue Rate (req/sec):   5.0689E+14",
        ]
    )
    assert (log.build_s, log.kv_cache_gib) == (41.25, 30.25)
    assert log.sections["performance"] == {"request_throughput_req_s": 150.0, "total_latency_ms": 2500.5}
    assert log.sections["world_info"]["issue_rate"] == 5.0689e14


def test_a_line_that_is_missing_is_named() -> None:
    for label, name in (
        ("Total Latency (ms):", "performance.total_latency_ms"),
        ("Average time-to-first-token [TTFT] (ms):", "streaming_metrics.avg_ttft_ms"),
        ("Dtype:", "engine.dtype"),
    ):
        log = read_log(line for line in LOG if not line.startswith(label))
        assert log.missing == (name,)
    log = read_log("Total Latency (ms):   nan" if line.startswith("Total Latency") else line for line in LOG)
    assert log.missing == ("performance.total_latency_ms",)
    assert not log.is_report


def test_a_run_that_did_not_stream_lacks_nothing() -> None:
    labels = ("Average time-", "Per User Output Speed", "[TPOT]", "[TTFT]", "[GTPS]")
    log = read_log(line for line in LOG if not line.startswith(labels))
    assert "streaming_metrics" not in log.sections
    assert log.missing == ()


def test_of_a_line_that_comes_again_the_last_holds() -> None:
    log = read_log(["Total Latency (ms): 9.0", *LOG])
    assert log.sections["performance"]["total_latency_ms"] == pytest.approx(
        FACE["sections"]["performance"]["total_latency_ms"], abs=5e-5
    )
