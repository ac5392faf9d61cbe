from __future__ import annotations

from pathlib import Path

import pytest

from tokenclock.errors import UsageError
from tokenclock.readers.genai_perf import is_csv, recognises, result_of, result_of_csv

PATH = Path("profile_export_genai_perf.json")


def metric(unit: str, **values: float) -> dict[str, object]:
    return {"unit": unit, **values}


FILE = {
    "request_throughput": metric("requests/sec", avg=7.5),
    "output_token_throughput": metric("tokens/sec", avg=960.0),
    "output_token_throughput_per_user": metric("tokens/sec/user", avg=70.0, p99=60.0),
    "time_to_first_token": metric("ms", avg=50.0, p50=49.0, p99=80.0, min=1.0, max=99.0, std=4.0),
    "inter_token_latency": metric("ms", avg=9.0, p50=8.9, p99=12.0),
    "request_latency": metric("ms", avg=1200.0, p50=1190.0, p99=1500.0),
    "input_sequence_length": metric("tokens", avg=512.0),
    "output_sequence_length": metric("tokens", avg=128.0),
    "request_count": metric("count", avg=80.0),
    "input_config": {
        "model_names": ["m"],
        "perf_analyzer": {"stimulus": {"concurrency": 16}},
        "endpoint": {"streaming": True},
    },
}


def test_their_inter_token_latency_is_our_tpot() -> None:
    found = result_of(FILE, PATH)
    assert found.values["tpot.mean"] == 9e6
    assert "itl.mean" not in found.values
    assert found.values["ttft.p50"] == 49e6
    assert "ttft.min" not in found.values
    assert found.values["e2el.p99"] == 1500e6
    assert (found.values["request_throughput"], found.values["output_throughput"]) == (7.5, 960.0)
    assert "user_throughput" not in found.values  # theirs is a mean of other ratios
    assert (found.tool, found.model, found.n_requests, found.n_failed) == ("genai-perf", "m", 80, None)
    assert found.asked == {"concurrency": 16, "streaming": True, "isl": 512.0, "osl": 128.0}


def test_aiperf_has_the_gaps_too() -> None:
    data = {**FILE, "inter_chunk_latency": metric("ms", avg=9.1), "error_request_count": metric("requests", avg=3.0)}
    found = result_of(data, Path("profile_export_aiperf.json"))
    assert (found.tool, found.values["itl.mean"], found.n_failed) == ("aiperf", 9.1e6, 3)


@pytest.mark.parametrize(("unit", "expected"), [("us", 50e3), ("ns", 50.0), ("s", 50e9)])
def test_units_are_read(unit: str, expected: float) -> None:
    assert result_of({**FILE, "time_to_first_token": metric(unit, avg=50.0)}, PATH).values["ttft.mean"] == expected


@pytest.mark.parametrize("unit", ["tokens", "", "requests/sec"])
def test_a_latency_in_no_unit_of_time_is_refused(unit: str) -> None:
    with pytest.raises(UsageError, match=r"profile_export_genai_perf.json: expected ttft in .*, got the unit"):
        result_of({**FILE, "time_to_first_token": metric(unit, avg=50.0)}, PATH)


CSV = """Metric,avg,min,max,p99,p95,p90,p75,p50,p25,p10,p5,p1
Time To First Token (ms),50.00,1.00,99.00,80.00,70.00,60.00,55.00,49.00,45.00,40.00,39.00,38.00
Request Latency (ms),"1,200.00",900.00,"1,600.00","1,500.00",1400,1300,1250,"1,190.00",1100,1000,950,910
Output Sequence Length (tokens),128.00,128,128,128,128,128,128,128,128,128,128,128
Input Sequence Length (tokens),512.00,512,512,512,512,512,512,512,512,512,512,512

Metric,Value
Output Token Throughput (tokens/sec),960.00
Request Throughput (per sec),7.50
Request Count (count),80.00

Metric,GPU,avg,min
GPU Power Usage (W),0,300,100
"""


def test_the_csv_tells_the_same_numbers() -> None:
    lines = CSV.splitlines()
    assert is_csv(lines[0])
    found = result_of_csv(lines, Path("x.csv"))
    assert found.values["ttft.mean"] == 50e6
    assert (found.values["e2el.mean"], found.values["e2el.p50"]) == (1200e6, 1190e6)
    assert (found.values["output_throughput"], found.values["request_throughput"]) == (960.0, 7.5)
    assert (found.n_requests, found.asked) == (80, {"osl": 128.0, "isl": 512.0})


def test_what_is_no_such_file_is_not_taken_for_one() -> None:
    assert recognises(FILE)
    assert not recognises({"request_latency": 3})
    assert not is_csv("model_name,batch_size")
