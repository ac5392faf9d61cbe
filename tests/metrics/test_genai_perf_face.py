"""The numbers of `profile`, against values worked out by hand."""

from __future__ import annotations

import pytest
from tests.conftest import MakeRecords

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.genai_perf_face import STATISTICS, genai_perf_face
from tokenclock.metrics.request_series import request_series, window_ns
from tokenclock.metrics.summary import summarise

MS = 1_000_000
# sent, token events (ms): TTFT 10, 20; TTST 5, 10; latency 30, 60; ITL (30-10)/(3-1) = 10, (60-20)/(5-1) = 10
REQUESTS = [
    {"sent": 0, "tokens": [10 * MS, 15 * MS, 30 * MS], "isl_requested": 7},
    {"sent": 40 * MS, "tokens": [60 * MS, 70 * MS, 100 * MS], "n_tokens": [1, 1, 3], "isl_server": 9},
    {"sent": 50 * MS, "tokens": [200 * MS], "status": "truncated"},
]


def test_statistics_by_hand(make_records: MakeRecords) -> None:
    records, facts = make_records(REQUESTS), RunFacts(max_concurrency=2)
    face = genai_perf_face(records, facts, summarise(records, facts))
    metrics = face["metrics"]
    assert (face["percentile_rule"], face["streaming"]) == ("linear", True)
    assert list(metrics["time_to_first_token"]) == ["unit", *STATISTICS]
    ttft = metrics["time_to_first_token"]
    assert (ttft["avg"], ttft["min"], ttft["max"], ttft["std"]) == (15, 10, 20, 5)  # the population's deviation
    assert (ttft["p1"], ttft["p25"], ttft["p99"]) == pytest.approx((10.1, 12.5, 19.9))
    assert (metrics["time_to_second_token"]["min"], metrics["time_to_second_token"]["max"]) == (5, 10)
    assert (metrics["request_latency"]["min"], metrics["request_latency"]["max"]) == (30, 60)
    assert metrics["inter_token_latency"]["avg"] == 10
    assert metrics["output_token_throughput_per_user"]["avg"] == 100
    assert metrics["output_sequence_length"]["avg"] == 4
    assert metrics["input_sequence_length"]["avg"] == 8
    assert metrics["request_count"] == {"unit": "count", "avg": 2}
    assert metrics["request_throughput"] == {"unit": "requests/sec", "avg": pytest.approx(2 / 0.2)}
    assert metrics["output_token_throughput"] == {"unit": "tokens/sec", "avg": pytest.approx(8 / 0.2)}
    assert "request_goodput" not in metrics


def test_without_a_stream_nothing_of_tokens_is_shown(make_records: MakeRecords) -> None:
    records = make_records([{"sent": 0, "last": 30 * MS, "osl": 3}])
    facts = RunFacts(max_concurrency=1, streaming=False, slos_ms={"e2el": 100})
    metrics = genai_perf_face(records, facts, summarise(records, facts))["metrics"]
    assert not {"time_to_first_token", "time_to_second_token", "inter_token_latency"} & metrics.keys()
    assert "output_token_throughput_per_user" not in metrics
    assert metrics["request_latency"]["avg"] == 30
    assert metrics["request_goodput"]["avg"] == pytest.approx(1 / 0.03)


def test_with_every_request_failed_nothing_is_zero(make_records: MakeRecords) -> None:
    records, facts = make_records([{"status": "http_error", "sent": 0}]), RunFacts(max_concurrency=1)
    metrics = genai_perf_face(records, facts, summarise(records, facts))["metrics"]
    assert metrics["request_count"]["avg"] == 0
    assert metrics["request_throughput"]["avg"] is None
    assert set(metrics["request_latency"].values()) == {"ms", None}


def test_series_have_the_wall_clock(make_records: MakeRecords) -> None:
    records = make_records(REQUESTS, client={"epoch_realtime_ns": 10**18})
    first, second = request_series(records)
    assert (first.row, first.t_sent_ns, first.n_tokens) == (0, 10**18, [1, 1, 1])
    assert second.t_response_ns == [10**18 + ms * MS for ms in (60, 70, 100)]
    assert window_ns(records) == [10**18, 10**18 + 100 * MS]
