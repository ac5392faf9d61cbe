from __future__ import annotations

import json
from typing import Any

import numpy as np
from tests.simulate.processes import stalling_server

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import summarise
from tokenclock.result_sections import certainty_sections

FACTS = RunFacts(max_concurrency=8, metric_percentiles=(99.9,))


def test_a_run_has_both_sections_as_json_holds_them() -> None:
    records = stalling_server(np.random.default_rng(2), 800, 8)
    found = json.loads(json.dumps(certainty_sections(records, FACTS, summarise(records, FACTS)), allow_nan=False))
    confidence, steady = found["confidence"], found["steady"]
    assert (confidence["level"], confidence["method"], confidence["percentile_rule"]) == (0.95, "time blocks", "rank")
    assert confidence["latencies"]["itl"]["unit"] == "ns"
    p999 = confidence["latencies"]["ttft"]["percentiles"]["99.9"]
    assert (p999["low"], p999["high"]) == (None, None)
    assert p999["reason"]
    median = confidence["latencies"]["e2el"]["percentiles"]["50"]
    assert median["low"] < median["high"]
    assert 10 < median["n_effective"] < 800
    assert steady["reason"] == ""
    assert steady["t_start_ns"] < steady["t_end_ns"]
    assert steady["latencies"]["ttft"]["formula"]
    assert steady["confidence"]["latencies"]["ttft"]["n"] == steady["n_requests"]


def test_the_seed_draws_the_bootstrap() -> None:
    records = stalling_server(np.random.default_rng(2), 800, 8)
    summary = summarise(records, FACTS)
    once, again, other = (certainty_sections(records, FACTS, summary, seed=seed) for seed in (1, 1, 2))
    assert once == again
    assert once["confidence"]["latencies"]["ttft"]["mean"] != other["confidence"]["latencies"]["ttft"]["mean"]


def test_nothing_measured_has_reasons_and_no_numbers(make_records: Any) -> None:
    records = make_records([{"status": "connect_error"}])
    found = certainty_sections(records, FACTS, summarise(records, FACTS))
    assert found["steady"]["reason"] == "too few requests were answered"
    assert found["steady"]["confidence"] is None
    assert found["confidence"]["latencies"]["ttft"]["mean"]["reason"]
