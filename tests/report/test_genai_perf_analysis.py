"""The summary of a sweep: a row per point, and one per point and GPU where there is telemetry."""

from __future__ import annotations

from dataclasses import replace

from tests.conftest import MakeResult

from tokenclock.metrics.facts import RunFacts
from tokenclock.report import genai_perf_analysis
from tokenclock.result import Result

MS = 1_000_000


def point(make_result: MakeResult, concurrency: int) -> Result:
    requests = [{"sent": 0, "tokens": [10 * MS, 30 * MS], "isl_requested": 4}]
    asked = {
        "model": ["m"], "concurrency": concurrency, "request_rate": None, "synthetic_input_tokens_mean": 4.0,
        "num_dataset_entries": 9,
    }  # fmt: skip
    return make_result(requests, RunFacts(max_concurrency=1), plan={"command": "profile", "asked": asked})


def test_rows_by_hand(make_result: MakeResult) -> None:
    first, second = point(make_result, 1), point(make_result, 2)
    power = {"unit": "W", "gpu0": {"avg": 1.0, "p99": 1500.0}, "gpu1": {"avg": 2.0, "p99": 3.0}}
    face = {**first.to_dict()["faces"]["profile"], "telemetry": {"gpu_power_usage": power}}
    first = replace(first, faces={**first.faces, "profile": face})
    points, gpus = genai_perf_analysis.content([("1", first), ("2", second)]).split("\n\n")
    assert points.splitlines() == [
        "Config Name,Concurrency,ISL,Num Dataset Entries,p99 Time To First Token (ms),p99 Inter Token Latency (ms),"
        "p99 Request Latency (ms),p99 Output Sequence Length (tokens),Avg. Output Token Throughput (tokens/sec),"
        "Request Throughput (requests/sec)",
        "m_run_config_0,1,4,9,10.00,20.00,30.00,2.00,66.67,33.33",
        "m_run_config_1,2,4,9,10.00,20.00,30.00,2.00,66.67,33.33",
    ]
    header, *rows = gpus.strip().splitlines()
    assert header.startswith("Config Name,GPU,p99 GPU Power Usage (W),p99 Energy Consumption (MJ),")
    assert rows == [
        'm_run_config_0,gpu0,"1,500.00",N/A,N/A,N/A,N/A,N/A',
        "m_run_config_0,gpu1,3.00,N/A,N/A,N/A,N/A,N/A",
    ]
    assert genai_perf_analysis.render([("2", second)]).splitlines()[1].endswith(second.quality.verdict)
