from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.serving_extras import extra_values
from tokenclock.metrics.serving_face import detailed_arrays, serving_face
from tokenclock.metrics.summary import summarise
from tokenclock.plan import LATENCY_METRICS, OutputPlan

MS = 1_000_000
S = 1000 * MS
CREATED = datetime(2025, 3, 4, 5, 6, 7)
REQUESTS = [
    {"sent": 0, "tokens": [10 * MS, 30 * MS], "isl_requested": 5, "isl_server": 6},
    {"sent": 0, "tokens": [20 * MS, 30 * MS, 40 * MS], "isl_requested": 5, "isl_server": 6},
    {"sent": 0, "status": "http_error", "isl_requested": 5, "error": "404"},
]


def test_values_by_hand(make_records: Any) -> None:
    facts = RunFacts(
        model="m", num_prompts=3, metric_percentiles=(75.0, 99.9), slos_ms={"ttft": 15}, metadata={"gpu": "x"}
    )
    face = serving_face(summarise(make_records(REQUESTS, client={"wall_ns": 2 * S}), facts), facts, CREATED)
    values = face["values"]
    assert face["percentile_rule"] == "linear"
    assert face["percentiles"] == ["75", "99.9"]
    assert values["date"] == "20250304-050607"
    assert values["request_rate"] == "inf"
    assert (values["num_prompts"], values["completed"], values["failed"]) == (3, 2, 1)
    assert values["duration"] == 2.0  # wall time, not first sent to last token
    assert (values["total_input_tokens"], values["total_output_tokens"]) == (12, 5)
    assert values["request_throughput"] == 1.0
    assert values["output_throughput"] == 2.5
    assert values["total_token_throughput"] == 8.5
    assert values["user_throughput"] == pytest.approx((2 / 0.03 + 3 / 0.04) / 2)
    assert values["request_goodput:"] == values["request_goodput"] == 0.5
    assert values["mean_ttft_ms"] == values["median_ttft_ms"] == 15.0
    assert values["std_ttft_ms"] == 5.0
    assert values["p75_ttft_ms"] == 17.5
    assert values["p99.9_ttft_ms"] == pytest.approx(19.99)
    assert values["mean_tpot_ms"] == 15.0  # 20 / 1 and 20 / 2
    assert values["mean_itl_ms"] == pytest.approx(40 / 3)
    assert values["avg_decoded_tokens_per_iter"] is None
    assert values["gpu"] == "x"
    assert "mean_e2el_ms" not in values


def test_the_plan_refuses_every_key_of_the_face_as_metadata(make_records: Any) -> None:
    facts = RunFacts(
        percentile_metrics=LATENCY_METRICS, metric_percentiles=(75.0, 99.9), slos_ms={"ttft": 15},
        ramp_up=("linear", 1.0, 4.0),
    )  # fmt: skip
    probes = {"completed": 1, "failed": 0, "unfinished": 0, "e2el_ns": {"median": 1, "p99": 1, "max": 1}}
    spec = dict.fromkeys(("acceptance_length", "num_drafts", "draft_tokens", "accepted_tokens", "acceptance_rate"), 1)
    breakdown = {"method": "id", "segments": {}}
    server = {
        "spec_decode": {**spec, "per_position_acceptance_rates": []}, "energy": {}, "time_breakdown": breakdown
    }  # fmt: skip
    records = make_records(REQUESTS, client={"wall_ns": 2 * S})
    face = serving_face(summarise(records, facts), facts, CREATED, extra_values(facts, probes, server))
    for key in (*face["values"], *detailed_arrays(records), "request_ids", "perf_metrics_index", "tokenclock"):
        with pytest.raises(UsageError, match="--metadata must be a key that the result does not use itself"):
            OutputPlan(metadata={key: "x"})


def test_metadata_never_replaces_a_measured_value(make_records: Any) -> None:
    facts = RunFacts(metadata={"completed": "all of them"})
    assert serving_face(summarise(make_records(REQUESTS), facts), facts, CREATED)["values"]["completed"] == 2


def test_tokens_per_iteration_where_the_server_reports_it(make_records: Any) -> None:
    facts = RunFacts()
    requests = [{**request, "tokens_per_iteration": k + 1.0} for k, request in enumerate(REQUESTS)]
    found = serving_face(summarise(make_records(requests), facts), facts, CREATED)["values"]
    assert found["avg_decoded_tokens_per_iter"] == {
        "mean": 1.5,
        "min": 1.0,
        "max": 2.0,
        "median": 1.5,
        "std": 0.5,
        "percentiles": {"p99": pytest.approx(1.99)},
    }


def test_without_streaming_latencies_of_tokens_are_null(make_records: Any) -> None:
    facts = RunFacts(streaming=False, percentile_metrics=("ttft", "itl", "e2el"))
    records = make_records([{"sent": 0, "last": 30 * MS, "osl": 7}])
    values = serving_face(summarise(records, facts), facts, CREATED)["values"]
    assert values["mean_ttft_ms"] is values["p99_itl_ms"] is None
    assert values["mean_e2el_ms"] == 30.0
    assert values["total_output_tokens"] == 7


def test_detailed_arrays_keep_a_slot_for_a_failure(make_records: Any) -> None:
    records = dataclasses.replace(make_records(REQUESTS), texts=["a", "b", ""])
    assert detailed_arrays(records) == {
        "input_lens": [6, 6, 5],
        "output_lens": [2, 3, None],
        "ttfts": [0.01, 0.02, None],
        "itls": [[0.02], [0.01, 0.01], []],
        "e2els": [0.03, 0.04, None],
        "generated_texts": ["a", "b", ""],
        "errors": ["", "", "404"],
    }


def test_detailed_arrays_of_nothing(make_records: Any) -> None:
    assert detailed_arrays(make_records([]))["itls"] == []
    assert detailed_arrays(make_records([{"sent": 0, "last": 5, "osl": 1}]))["itls"] == [[]]
