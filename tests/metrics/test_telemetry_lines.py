from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokenclock.metrics.telemetry_lines import TelemetryLine, gpu_lines, server_lines

S = 1_000_000_000
EPOCH = 50 * S


def by_name(lines: list[TelemetryLine]) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    return {(line.panel, line.name): (line.t_s.tolist(), line.values.tolist()) for line in lines}


def readings(*pages: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"unix_s": 0.0, "monotonic_ns": EPOCH + i * S, **page} for i, page in enumerate(pages)]


def test_gpus_on_the_clock_of_the_run() -> None:
    series = {"index": 1, "uuid": "GPU-1", "t_monotonic_ns": [EPOCH + S, EPOCH + 2 * S, EPOCH + 90 * S],
              "power_w": [300.0, None, 1.0], "used_bytes": [1 << 30, 2 << 30, 0]}  # fmt: skip
    found = by_name(gpu_lines({"series": [series]}, EPOCH, 5.0))
    assert set(found) == {("GPU power (W)", "GPU 1"), ("GPU memory in use (GiB)", "GPU 1")}
    t_s, power = found["GPU power (W)", "GPU 1"]
    assert (t_s, power[0]) == ([1.0, 2.0], 300.0)  # what came long after the run is not its
    assert np.isnan(power[1])
    assert found["GPU memory in use (GiB)", "GPU 1"][1] == [1.0, 2.0]
    assert gpu_lines(None, EPOCH, 5.0) == gpu_lines({"usage": {}}, EPOCH, 5.0) == []


def test_vllm_over_engines() -> None:
    pages = [
        {"values": {
            'vllm:num_requests_running{engine="0"}': 3.0, 'vllm:num_requests_running{engine="1"}': 4.0,
            'vllm:num_requests_waiting{engine="0"}': 1.0, 'vllm:kv_cache_usage_perc{engine="0"}': 0.25,
            'vllm:kv_cache_usage_perc{engine="1"}': 0.5, 'vllm:generation_tokens_total{engine="0"}': 100.0 * i,
            'vllm:num_requests_running_created{engine="0"}': 1e9,
        }}
        for i in range(3)
    ]  # fmt: skip
    found = by_name(server_lines(readings(*pages), EPOCH, 2.0))
    assert found == {
        ("Requests at the server", "running"): ([0, 1, 2], [7, 7, 7]),
        ("Requests at the server", "waiting"): ([0, 1, 2], [1, 1, 1]),
        ("Server's KV cache in use (%)", "KV cache"): ([0, 1, 2], [50, 50, 50]),
        ("Tokens/s by the server's counters", "generated"): ([0.5, 1.5], [100, 100]),
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"llamacpp:requests_processing": 2.0, "llamacpp:requests_deferred": 1.0}, {"running", "waiting"}),
        ({"sglang:num_running_reqs": 2.0, "sglang:num_queue_reqs": 0.0, "sglang:token_usage": 0.1},
         {"running", "waiting", "KV cache"}),
        ({"tokenclock_paced_requests_in_flight": 2.0}, {"running"}),
        ({"trtllm_kv_cache_utilization": 0.1}, {"KV cache"}),
        ({"xnum_requests_running": 1.0, "process_cpu_seconds_total": 2.0}, set()),
    ],
)  # fmt: skip
def test_other_servers(values: dict[str, float], expected: set[str]) -> None:
    found = server_lines(readings({"values": values}, {"values": values}), EPOCH, 1.0)
    assert {line.name for line in found} == expected


def test_iterations_of_trtllm_serve() -> None:
    last = {"iter": 7, "numActiveRequests": 5, "kvCacheStats": {"usedNumBlocks": 30, "maxNumBlocks": 120}}
    found = by_name(server_lines(readings({"page": [{"iter": 6}, last]}, {"page": []}), EPOCH, 1.0))
    assert found["Requests at the server", "running"][1][0] == 5
    assert found["Server's KV cache in use (%)", "KV cache"][1][0] == 25


def test_a_counter_of_a_server_that_was_started_again_has_a_gap() -> None:
    pages = [{"values": {"vllm:generation_tokens_total": value}} for value in (50.0, 90.0, 5.0, 25.0)]
    (line,) = server_lines(readings(*pages), EPOCH, 3.0)
    assert line.values[[0, 2]].tolist() == [40, 20]
    assert np.isnan(line.values[1])


def test_readings_of_another_time_are_none_of_the_run() -> None:
    assert server_lines(readings({"values": {"llamacpp:requests_processing": 1.0}}), EPOCH + 1000 * S, 5.0) == []
    assert server_lines([], EPOCH, 5.0) == []
