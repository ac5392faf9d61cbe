from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokenclock.metrics.in_flight import ConcurrencyKept, concurrency_kept, in_flight

MS = 1_000_000
# two slots: 0..30 and 10..20, then 20..50 at once in the freed slot
REQUESTS = [
    {"sent": 0, "tokens": [30 * MS]},
    {"sent": 10 * MS, "tokens": [20 * MS]},
    {"sent": 20 * MS, "tokens": [50 * MS]},
]


def test_the_staircase_counts_requests_under_way(make_records: Any) -> None:
    found = in_flight(make_records(REQUESTS))
    assert found.t_ns.tolist() == [0, 10 * MS, 20 * MS, 20 * MS, 30 * MS, 50 * MS]
    assert found.n.tolist() == [1, 2, 1, 2, 1, 0]  # at 20 the slot is freed, then filled
    assert found.first_at(2) == 10 * MS
    assert found.first_at(3) is None
    assert found.mean(0, 50 * MS) == pytest.approx((10 * 1 + 20 * 2 + 20 * 1) / 50)
    assert found.mean(10 * MS, 30 * MS) == 2
    assert found.mean(40 * MS, 100 * MS) == pytest.approx(10 / 60)  # nobody after 50
    assert found.mean(5, 5) is None
    assert found.median(0, 50 * MS) == 1
    assert found.median(0, 35 * MS) == 2
    assert found.median(7, 7) is None


def test_failures_hold_a_slot_and_what_never_ended_counts_on(make_records: Any) -> None:
    records = make_records(
        [{"sent": 5, "status": "timeout", "t_done_ns": 9}, {"sent": 7, "status": "cancelled"}, {"status": "not_sent"}]
    )
    found = in_flight(records)
    assert found.n.tolist() == [1, 2, 1]
    assert found.mean(9, 100) == 1


def test_nothing_sent(make_records: Any) -> None:
    records = make_records([{"status": "not_sent"}])
    assert len(in_flight(records).n) == 0
    assert in_flight(records).mean(0, 10) is None
    assert concurrency_kept(records, 4) == ConcurrencyKept(4, 0, None)
    assert concurrency_kept(records, 4).shortfall is None


def test_concurrency_kept_is_the_mean_while_slots_could_be_filled(make_records: Any) -> None:
    kept = concurrency_kept(make_records(REQUESTS), 2)
    assert kept == ConcurrencyKept(2, 2, 2.0)  # from 10, when both were filled, to 20, the last sending
    assert kept.shortfall == 0


def test_slots_never_filled_are_missed(make_records: Any) -> None:
    kept = concurrency_kept(make_records(REQUESTS), 4)
    assert kept.reached == 2
    assert kept.mean == pytest.approx(1.5)  # over 0..20
    assert kept.shortfall == pytest.approx(1 - 1.5 / 4)
    # all at once: there is no time to take a mean over
    burst = concurrency_kept(make_records([{"sent": i, "tokens": [50 * MS]} for i in range(3)]), 4)
    assert burst == ConcurrencyKept(4, 3, None)
    assert burst.shortfall == pytest.approx(0.25)


def test_a_slot_idle_for_a_tenth_of_the_time(make_records: Any) -> None:
    requests = [{"sent": i * 10 * MS, "tokens": [i * 10 * MS + 9 * MS]} for i in range(21)]
    kept = concurrency_kept(make_records(requests), 1)
    assert kept.shortfall == pytest.approx(0.1)
    assert np.diff(in_flight(make_records(requests)).t_ns).min() > 0
