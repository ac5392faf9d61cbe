from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import (
    distribution,
    floor_percentile,
    linear_percentile,
    percentile_label,
    rank_percentile,
    samples_needed,
    summarise,
    weighted_distribution,
)

CLOSED = RunFacts(max_concurrency=4)


@pytest.mark.parametrize(
    ("n", "percentile", "index"),
    [(1, 99, 0), (10, 95, 9), (10, 50, 5), (20, 95, 19), (21, 95, 19), (100, 99, 99), (101, 99, 99), (1000, 99.9, 999),
     (100, 100, 99), (100, 0, 0), (200, 99, 198)],
)  # fmt: skip
def test_floor_rule(n: int, percentile: float, index: int) -> None:
    assert floor_percentile(np.arange(n), percentile) == index


def test_the_floor_rule_is_given_on_request() -> None:
    found = distribution("x", np.arange(10), rules=("floor",))
    assert set(found.percentiles) == {"floor"}
    assert found.percentile(95, "floor") == 9
    assert floor_percentile(np.zeros(0), 95) is None
    assert set(distribution("x", np.arange(10)).percentiles) == {"rank", "linear"}


@pytest.mark.parametrize(
    ("n", "percentile", "rank"),
    [
        (1, 99, 1),
        (2, 50, 1),
        (2, 51, 2),
        (3, 50, 2),
        (100, 99, 99),
        (100, 100, 100),
        (100, 0, 1),
        (160, 99, 159),
        (1000, 99.9, 999),  # 99.9 as a double is just above 999/10 and would give 1000
        (1000, 99.95, 1000),
    ],
)
def test_rank_rule(n: int, percentile: float, rank: int) -> None:
    assert rank_percentile(np.arange(1, n + 1), percentile) == rank


def test_linear_rule_lies_between_the_closest_ranks() -> None:
    assert linear_percentile(np.array([10, 20]), 50) == 15
    assert linear_percentile(np.array([0, 10, 20, 30]), 90) == pytest.approx(27)
    assert linear_percentile(np.array([7]), 99) == 7


def test_no_samples_no_value() -> None:
    found = distribution("ttft", np.zeros(0))
    assert found.n == 0
    assert found.mean is found.std is found.minimum is found.maximum is None
    assert set(found.percentiles["rank"].values()) == {None}
    assert set(found.percentiles["linear"].values()) == {None}


def test_distribution_by_hand() -> None:
    found = distribution("ttft", np.array([4.0, np.nan, 2.0, 6.0]), [25])
    assert (found.n, found.n_missing) == (3, 1)
    assert (found.mean, found.minimum, found.maximum) == (4, 2, 6)
    assert found.std == pytest.approx((8 / 3) ** 0.5)  # population: divides by N
    assert found.percentile(25) == 2
    assert found.percentile(25, "linear") == 3


def test_weights_count_like_repeats() -> None:
    found = weighted_distribution("itl_per_token", np.array([5.0, 1.0, 9.0]), np.array([2, 3, 0]), [60, 61])
    # 1 1 1 5 5
    assert (found.n, found.mean, found.minimum, found.maximum) == (5, 2.6, 1, 5)
    assert (found.percentile(60), found.percentile(61)) == (1, 5)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50), st.floats(0, 100))
def test_linear_rule_is_numpys(values: list[int], percentile: float) -> None:
    ordered = np.sort(np.array(values))
    found = linear_percentile(ordered, percentile)
    assert found == pytest.approx(float(np.percentile(ordered, percentile)), rel=1e-9, abs=1e-3)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 5)), max_size=30), st.integers(0, 100))
def test_weighted_is_repeated(pairs: list[tuple[int, int]], percentile: int) -> None:
    values = np.array([v for v, _ in pairs], dtype=float)
    weights = np.array([w for _, w in pairs], dtype=np.int64)
    weighted = weighted_distribution("itl_per_token", values, weights, [percentile])
    repeated = distribution("itl_per_token", np.repeat(values, weights), [percentile])
    assert weighted.n == repeated.n
    assert weighted.percentile(percentile) == repeated.percentile(percentile)
    assert weighted.percentile(percentile, "linear") == repeated.percentile(percentile, "linear")
    assert (weighted.mean is None) == (repeated.mean is None)
    if repeated.mean is not None:
        assert weighted.mean == pytest.approx(repeated.mean)
        assert weighted.std == pytest.approx(repeated.std, abs=1e-6)


def test_samples_that_a_percentile_needs() -> None:
    needed = [samples_needed(p) for p in (50, 75, 90, 95, 99, 99.9, 1, 100, 0)]
    assert needed == [2, 4, 10, 20, 100, 1000, 100, 1, 1]


def test_labels() -> None:
    assert [percentile_label(p) for p in (99, 99.0, 99.9)] == ["99", "99", "99.9"]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 160, 1000])
def test_every_size_of_run(make_records: Any, n: int) -> None:
    # request i is sent at 1000 i and answers after 10 + i, then every 5
    records = make_records(
        [{"sent": 1000 * i, "tokens": [1000 * i + 10 + i + 5 * k for k in range(3)]} for i in range(n)]
    )
    found = summarise(records, CLOSED).distributions
    assert (found["ttft"].n, found["tpot"].n, found["itl"].n) == (n, n, 2 * n)
    if n:
        assert found["ttft"].percentile(99) == 10 + max(1, -(-99 * n // 100)) - 1
        assert found["ttft"].mean == pytest.approx(10 + (n - 1) / 2)
        assert found["itl"].percentile(50) == found["tpot"].percentile(50) == 5
    else:
        assert found["ttft"].percentile(99) is None


def test_all_failed(make_records: Any) -> None:
    records = make_records(
        [
            {"status": "connect_error", "error": "refused"},
            {"status": "http_error", "error": "404"},
            {"status": "timeout"},
        ]
    )
    summary = summarise(records, RunFacts(slos_ms={"ttft": 1}))
    assert (summary.n_scheduled, summary.n_ok) == (3, 0)
    assert summary.by_status == {"connect_error": 1, "http_error": 1, "timeout": 1}
    assert summary.failure_examples == {"connect_error": "refused", "http_error": "404"}
    assert summary.rates.request_throughput is None
    assert all(found.n == 0 for found in summary.distributions.values())


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"error": {"message": "no such model", "code": 404}}', "HTTP 404: no such model"),
        ('{"message": "gone"}', "HTTP 404: gone"),
        ('{"detail": "Not Found"}', "HTTP 404: Not Found"),
        ('{"error": {"code": 7}}', 'HTTP 404: {"error": {"code": 7}}'),
        ("<html>", "HTTP 404: <html>"),
        ("", "HTTP 404 (empty body)"),
        ('{"error": ""}', 'HTTP 404: {"error": ""}'),
    ],
)
def test_an_example_shows_the_message_inside_an_error_body(make_records: Any, body: str, shown: str) -> None:
    records = make_records([{"status": "http_error", "http_status": 404, "error": body}])
    assert summarise(records, CLOSED).failure_examples == {"http_error": shown}


def test_latency_from_schedule_only_where_there_is_one(make_records: Any) -> None:
    records = make_records([{"t_scheduled_ns": 0, "sent": 5, "tokens": [9]}])
    open_loop = summarise(records, RunFacts(request_rate=1.0)).distributions
    assert open_loop["response_ttft"].mean == 9
    assert open_loop["ttft"].mean == 4
    assert "response_ttft" not in summarise(records, CLOSED).distributions


def test_itl_per_token_when_an_event_carries_more_than_one(make_records: Any) -> None:
    records = make_records([{"sent": 0, "tokens": [10, 30, 34], "n_tokens": [1, 4, 1]}])
    found = summarise(records, CLOSED).distributions
    assert (found["itl"].n, found["itl"].mean) == (2, 12)
    per_token = found["itl_per_token"]  # 20 / 4 four times, 4 once
    assert (per_token.n, per_token.mean) == (5, pytest.approx(24 / 5))
    assert found["tpot_after_first_event"].mean == pytest.approx(24 / 5)
    single = summarise(make_records([{"sent": 0, "tokens": [10, 30]}]), CLOSED).distributions
    assert "itl_per_token" not in single


def test_itl_per_token_is_missing_when_counts_do_not_add_up(make_records: Any) -> None:
    records = make_records([{"sent": 0, "tokens": [10, 30], "n_tokens": [1, 4], "osl": 6}])
    found = summarise(records, CLOSED).distributions
    assert (found["itl_per_token"].n, found["itl"].n) == (0, 1)


def test_requests_that_reused_a_connection_miss_no_connect_time(make_records: Any) -> None:
    records = make_records([{"t_connect_ns": 1, "sent": 3, "tokens": [9]}, {"sent": 9, "tokens": [12]}])
    found = summarise(records, CLOSED).distributions["connect"]
    assert (found.n, found.n_missing, found.mean) == (1, 0, 2)


@given(st.permutations(range(6)))
def test_the_order_of_requests_changes_nothing(make_records: Any, order: list[int]) -> None:
    requests = [
        {
            "sent": 100 * i,
            "tokens": [100 * i + 7 * i * i + 3 * k * (i + 1) for k in range(1, i + 1)],
            "t_scheduled_ns": 90 * i,
        }
        for i in range(5)
    ]
    requests.append({"sent": 900, "status": "stalled", "error": "quiet"})
    facts = RunFacts(request_rate=2.0, slos_ms={"ttft": 0.00005, "tpot": 1})
    records = make_records(requests)
    assert summarise(records.take(order), facts) == summarise(records, facts)


def test_facts_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="got 'latency'"):
        RunFacts(percentile_metrics=("latency",))
    with pytest.raises(ValueError, match="got 101"):
        RunFacts(metric_percentiles=(101,))
    with pytest.raises(ValueError, match="got 'itl'"):
        RunFacts(slos_ms={"itl": 1})


def test_three_kinds_of_loop() -> None:
    assert RunFacts(request_rate=2.0, max_concurrency=4).loop == "open"
    assert RunFacts(max_concurrency=4).loop == "closed"
    assert RunFacts().loop == "burst"
