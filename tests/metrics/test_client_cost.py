from __future__ import annotations

from typing import Any

import pytest

from tokenclock.metrics import client_cost
from tokenclock.metrics.facts import RunFacts

S = 1_000_000_000


def test_read_lag_is_known_only_with_kernel_stamps(make_records: Any) -> None:
    requests = [{"sent": 0, "tokens": [10, 20], "read_lag": 3}]
    assert client_cost.read_lag_ns(make_records(requests, client={"stamp_source": "kernel"})).tolist() == [3, 3]
    assert client_cost.read_lag_ns(make_records(requests, client={"stamp_source": "user"})).tolist() == []


def test_open_loop_due_at_90_sent_at_100_so_10_late(make_records: Any) -> None:
    records = make_records([{"t_scheduled_ns": 90, "sent": 100}, {"t_scheduled_ns": 95, "status": "not_sent"}])
    assert client_cost.send_lag_ns(records, RunFacts(request_rate=1.0)).tolist() == [10]


def test_closed_loop_a_slot_free_at_50_and_sent_at_53_stood_empty_for_3(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [50]},  # two slots: the third sending answers the first ending
            {"sent": 1, "tokens": [70]},
            {"sent": 53, "tokens": [90]},
            {"sent": 74, "tokens": [99]},
        ]
    )
    assert client_cost.send_lag_ns(records, RunFacts(max_concurrency=2)).tolist() == [3, 4]
    assert client_cost.send_lag_ns(records, RunFacts(max_concurrency=8)).tolist() == []


def test_while_slots_are_still_opening_none_of_them_stands_empty(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [50]},
            {"sent": 53, "tokens": [60]},  # the first slot's next one, before the second slot opens at 80
            {"sent": 80, "tokens": [90]},
            {"sent": 85, "tokens": [99]},
            {"sent": 94, "tokens": [101]},
        ]
    )
    # with two slots the third and later sendings would answer the endings at 50, 60 and 90
    assert client_cost.send_lag_ns(records, RunFacts(max_concurrency=2)).tolist() == [30, 25, 4]
    assert client_cost.send_lag_ns(records, RunFacts(max_concurrency=2, slots_open_ns=90)).tolist() == [4]


def test_the_rate_of_events_is_that_of_the_busiest_whole_second(make_records: Any) -> None:
    # 2 in the first second after the first event, 3 in the second, then a part of one, which is not counted
    tokens = [5 * S, 5 * S + 1, 6 * S, 6 * S + 1, 6 * S + 2, 7 * S, *(7 * S + i for i in range(1, 9))]
    assert client_cost.event_rate(make_records([{"sent": 0, "tokens": tokens}])) == 3
    assert client_cost.event_rate(make_records([{"sent": 0, "tokens": [0, S // 2, S]}])) == 2
    assert client_cost.event_rate(make_records([{"sent": 0, "tokens": [7]}])) is None
    assert client_cost.event_rate(make_records([{"sent": 0, "tokens": [7, 7]}])) is None


def test_rate_asked_drawn_and_sent(make_records: Any) -> None:
    records = make_records(
        [{"t_scheduled_ns": i * S, "sent": i * S + i * S // 10, "tokens": [20 * S]} for i in range(5)]
    )
    kept = client_cost.rate_kept(records, RunFacts(request_rate=1.5))
    assert (kept.asked, kept.scheduled) == (1.5, 1.0)
    assert kept.sent == pytest.approx(4 / 4.4)
    assert kept.deviation == pytest.approx(1 - 1 / 1.1)
    closed = client_cost.rate_kept(records, RunFacts(max_concurrency=1))
    assert (closed.asked, closed.deviation) == (None, None)


def test_one_request_has_no_rate(make_records: Any) -> None:
    kept = client_cost.rate_kept(make_records([{"t_scheduled_ns": 0, "sent": 5}]), RunFacts(request_rate=1.0))
    assert kept.sent is None
    assert kept.deviation is None


def test_cpu_of_the_busiest_thread_and_per_event(make_records: Any) -> None:
    workers = [
        {"cpu_user_ns": 10, "cpu_system_ns": 20, "wall_ns": 100},
        {"cpu_user_ns": 30, "cpu_system_ns": 20, "wall_ns": 100},
    ]
    use = client_cost.cpu_use(make_records([{"sent": 0, "tokens": [1, 2, 3, 4]}], client={"workers": workers}))
    assert use.share_of_core == 0.5
    assert use.ns_per_event == 20  # 80 ns of CPU over 4 events
    assert client_cost.cpu_use(make_records([])) == client_cost.CpuUse(None, None)


def test_asked_100_got_104_and_99(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [1], "isl_requested": 100, "isl_server": got, "status": status}
            for got, status in ((100, "ok"), (104, "ok"), (99, "ok"), (-1, "ok"), (500, "timeout"))
        ]
    )
    found = client_cost.asked_got(records, "isl_requested", "isl_server")
    assert (found.n, found.asked, found.got) == (3, 300, 303)
    assert found.share_exact == pytest.approx(1 / 3)
    assert (found.min_deviation, found.max_deviation) == (-1, 4)
    assert found.deviation == pytest.approx(0.01)
    nothing = client_cost.asked_got(make_records([]), "isl_requested", "isl_server")
    assert nothing.deviation is None


def test_each_of_several_ranks_fills_its_own_slots(make_records: Any) -> None:
    # two ranks with a slot each: rows 0 and 2 are rank 0's, 1 and 3 rank 1's, which drains while rank 0 goes on
    requests = [
        {"sent": 0, "tokens": [50]},
        {"sent": 0, "tokens": [10]},
        {"sent": 53, "tokens": [90]},
        {"sent": 14, "tokens": [20]},
    ]
    records = make_records(requests, client={"n_ranks": 2})
    assert sorted(client_cost.send_lag_ns(records, RunFacts(max_concurrency=2)).tolist()) == [3, 4]
