from __future__ import annotations

from typing import Any

import pytest

from tokenclock.metrics.goodput import goodput

MS = 1_000_000
S = 1000 * MS


def test_a_request_must_meet_every_limit(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [10 * MS, 20 * MS]},  # TTFT 10, TPOT 10
            {"sent": 0, "tokens": [10 * MS, 40 * MS]},  # TPOT 30: misses
            {"sent": 0, "tokens": [30 * MS, 40 * MS]},  # TTFT 30: misses
            {"sent": 0, "tokens": [1 * MS], "status": "truncated"},  # failed: misses
        ]
    )
    found = goodput(records, {"ttft": 10, "tpot": 20}, 2 * S)
    assert found is not None
    assert found.n_good == 1
    assert found.share == 1 / 4
    assert found.request_goodput == pytest.approx(1 / 2)
    assert found.met == {"ttft": 2, "tpot": 2}
    assert found.interval_95 == pytest.approx((0.0455873, 0.6993582), abs=5e-7)  # Wilson of 1 in 4, by hand
    assert found.attainment["ttft"].share == found.attainment["tpot"].share == 1 / 2
    assert found.attainment["ttft"].interval_95 == pytest.approx((0.1500390, 0.8499610), abs=5e-7)


def test_a_one_token_answer_has_no_tpot_to_miss_and_is_counted(make_records: Any) -> None:
    records = make_records([{"sent": 0, "tokens": [10 * MS]}, {"sent": 0, "tokens": [10 * MS, 90 * MS]}])
    found = goodput(records, {"tpot": 20}, S)
    assert found is not None
    assert (found.n_good, found.n_exempt_tpot) == (1, 1)


def test_an_empty_answer_misses_a_limit_on_ttft(make_records: Any) -> None:
    records = make_records([{"sent": 0, "tokens": []}, {"sent": 0, "tokens": [MS]}])
    found = goodput(records, {"ttft": 10}, S)
    assert found is not None
    assert found.n_good == 1


def test_without_streaming_ttft_and_tpot_cannot_be_judged(make_records: Any) -> None:
    records = make_records([{"sent": 0, "last": 5 * MS, "osl": 4}])
    for limits in ({"ttft": 10}, {"tpot": 10, "e2el": 10}):
        found = goodput(records, limits, S)
        assert found is not None
        assert found.n_good is found.share is found.request_goodput is None
    mixed = goodput(records, {"tpot": 10, "e2el": 10}, S)
    assert mixed is not None
    assert {tag: kept.met for tag, kept in mixed.attainment.items()} == {"e2el": 1}
    by_end = goodput(records, {"e2el": 5}, S)
    assert by_end is not None
    assert by_end.n_good == 1


def test_no_limits_no_goodput_and_no_requests_no_share(make_records: Any) -> None:
    assert goodput(make_records([]), {}, None) is None
    found = goodput(make_records([]), {"ttft": 1}, None)
    assert found is not None
    assert (found.n_good, found.share, found.request_goodput) == (0, None, None)


def test_all_failed_is_a_share_of_zero(make_records: Any) -> None:
    found = goodput(make_records([{"status": "timeout", "sent": 0}]), {"ttft": 1}, S)
    assert found is not None
    assert (found.n_good, found.share) == (0, 0.0)


def test_a_limit_on_the_second_token(make_records: Any) -> None:
    requests = [
        {"sent": 0, "tokens": [5 * MS, 9 * MS]},  # 4 ms
        {"sent": 0, "tokens": [5 * MS, 11 * MS]},  # 6 ms
        {"sent": 0, "tokens": [5 * MS]},  # no second token to miss
        {"sent": 0, "status": "truncated", "tokens": [5 * MS, 6 * MS]},
    ]
    found = goodput(make_records(requests), {"ttst": 5}, 10**9)
    assert found is not None
    assert (found.n_good, found.share) == (2, 0.5)
