from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.simulate.processes import stalling_server

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.run_intervals import RunIntervals, steady_intervals, whole_run_intervals
from tokenclock.metrics.steady_state import steady_state
from tokenclock.metrics.summary import summarise
from tokenclock.records import Records

MS = 1_000_000
FACTS = RunFacts(max_concurrency=8, metric_percentiles=(75.0,))


@pytest.fixture(scope="module")
def records() -> Records:
    return stalling_server(np.random.default_rng(1), 1000, 8)


def whole(records: Records, facts: RunFacts) -> RunIntervals:
    return whole_run_intervals(records, facts, summarise(records, facts))


def test_every_number_of_a_run_lies_in_its_interval(records: Records) -> None:
    summary = summarise(records, FACTS)
    found = whole_run_intervals(records, FACTS, summary)
    assert (found.method, found.n_blocks) == ("time blocks", 30)
    assert set(found.metrics) == {"ttft", "tpot", "e2el", "itl"}
    for tag, intervals in found.metrics.items():
        value = summary.distributions[tag]
        assert intervals.n == value.n
        assert intervals.mean.low < value.mean < intervals.mean.high
        assert {50.0, 75.0, 90.0, 99.0} <= set(intervals.percentiles)
        for p in (50.0, 75.0, 90.0):
            assert intervals.percentiles[p].low <= value.percentile(p) <= intervals.percentiles[p].high
    for name, interval in found.rates.items():
        assert interval.low < getattr(summary.rates, name) < interval.high, name
    assert len(found.rates) == 4


def test_the_same_run_gives_the_same_intervals(records: Records) -> None:
    assert whole(records, FACTS) == whole(records, FACTS)


def test_the_steady_part_has_its_own(records: Records) -> None:
    steady = steady_state(records, FACTS)
    found = steady_intervals(records, FACTS, steady)
    assert found is not None
    assert found.metrics["ttft"].n == steady.distributions["ttft"].n < 1000
    assert found.metrics["itl"].n == pytest.approx(steady.distributions["itl"].n, abs=1)
    rate = found.rates["output_throughput"]
    assert rate.low < steady.output_throughput < rate.high
    assert set(found.rates) == {"request_throughput", "output_throughput", "user_throughput"}


def test_without_a_steady_part_there_are_none(make_records: Any) -> None:
    burst = make_records([{"sent": 0, "tokens": [10 * MS, 20 * MS]}] * 4)
    assert steady_intervals(burst, RunFacts(), steady_state(burst, RunFacts())) is None


def test_one_request_at_a_time_counts_each(make_records: Any) -> None:
    rng = np.random.default_rng(3)
    requests, t = [], 0
    for _ in range(400):
        first, last = t + int(rng.integers(5, 50)) * MS, t + int(rng.integers(60, 100)) * MS
        requests.append({"sent": t, "tokens": [first, last]})
        t = last + MS
    found = whole(make_records(requests), RunFacts(max_concurrency=1))
    assert found.method == "independent requests"
    assert found.metrics["ttft"].percentiles[50.0].n_effective == 400
    assert found.metrics["itl"].percentiles[50.0].n_effective != 400  # gaps follow each other all the same


def test_an_open_loop_has_intervals_from_the_schedule_too(make_records: Any) -> None:
    requests = [
        {"t_scheduled_ns": i * 10 * MS, "sent": i * 10 * MS + 5, "tokens": [(i * 10 + 8) * MS, (i * 10 + 18) * MS]}
        for i in range(300)
    ]
    found = whole(make_records(requests), RunFacts(request_rate=100.0))
    assert {"response_ttft", "response_e2el"} <= set(found.metrics)
    assert found.metrics["response_ttft"].mean.low == pytest.approx(8 * MS)


@pytest.mark.parametrize("requests", [[], [{"status": "not_sent"}], [{"sent": 0, "tokens": [5]}]])
def test_runs_of_nothing_have_reasons(make_records: Any, requests: list[dict[str, Any]]) -> None:
    found = whole(make_records(requests), FACTS)
    intervals = [i for m in found.metrics.values() for i in (m.mean, *m.percentiles.values())]
    for interval in [*intervals, *found.rates.values()]:
        assert interval.low is None
        assert interval.reason
