from __future__ import annotations

from typing import Any

import pytest

from tokenclock.metrics.facts import RunFacts
from tokenclock.quality_checks.client import client_figures
from tokenclock.quality_checks.figure import Figure

MS = 1_000_000
S = 1000 * MS
WORKER = {"cpu_user_ns": S, "cpu_system_ns": 2 * S, "wall_ns": 10 * S, "busy_ns": 4 * S, "involuntary_switches": 7}


def figures(make_records: Any, facts: RunFacts, n: int = 20, **client: Any) -> dict[str, Figure]:
    requests = [
        {"sent": i * 100 * MS, "t_scheduled_ns": i * 100 * MS, "tokens": [(i + 1) * 100 * MS]} for i in range(n)
    ]
    return {figure.tag: figure for figure in client_figures(make_records(requests, client=client), facts)}


def test_cpu_and_what_it_was_denied(make_records: Any) -> None:
    idle = {**WORKER, "cpu_system_ns": 0, "busy_ns": S, "involuntary_switches": 1}
    client = {"workers": [WORKER, idle], "wall_ns": 10 * S, "process_cpu_ns": 5 * S, "n_events": 1000}
    host = {"busy_share": 0.8, "steal_share": 0.03}
    found = figures(make_records, RunFacts(request_rate=10.0), **client, host=host)
    assert found["cpu"].value == pytest.approx(0.3)
    assert found["cpu"].details == {
        "ns_per_event": pytest.approx(4e6),
        "loop_busy_share": pytest.approx(0.4),
        "process_share_of_core": pytest.approx(0.5),
        "system_share": 0.8,
        "n_involuntary_switches": 8,
    }
    # busy for 4 s of which 3 on a core: of 10 s it had work and no core for one
    assert found["starved"].value == pytest.approx(0.1)
    assert found["steal"].value == 0.03


def test_a_client_that_spins_while_it_waits_is_not_starved(make_records: Any) -> None:
    found = figures(make_records, RunFacts(request_rate=10.0), workers=[{**WORKER, "busy_ns": S}])
    assert found["starved"].value == 0


def test_a_thread_that_is_woken_late_is_starved_though_it_took_that_for_waiting(make_records: Any) -> None:
    idle = {**WORKER, "busy_ns": 3 * S}
    workers = [{**idle, "core_wait_share": 0.01}, {**idle, "core_wait_share": 0.4}]
    found = figures(make_records, RunFacts(request_rate=10.0), workers=workers)
    assert found["starved"].value == 0.4
    assert found["starved"].details == {"n_involuntary_switches": 14, "core_wait_share": 0.4}
    # what the thread noticed itself counts too, where the kernel's count ended before it did
    found = figures(make_records, RunFacts(request_rate=10.0), workers=[{**WORKER, "core_wait_share": 0.02}])
    assert found["starved"].value == pytest.approx(0.1)
    found = figures(make_records, RunFacts(request_rate=10.0), workers=[idle])
    assert found["starved"].details["core_wait_share"] is None, "not counted is not 0"


def test_what_the_system_does_not_say_is_not_judged(make_records: Any) -> None:
    found = figures(make_records, RunFacts(request_rate=10.0), host={"busy_share": None, "steal_share": None})
    assert "steal" not in found
    assert "starved" not in found
    assert found["cpu"].value is None


def test_concurrency_belongs_to_closed_loops(make_records: Any) -> None:
    closed = figures(make_records, RunFacts(max_concurrency=4))
    assert closed["concurrency"].value == pytest.approx(0.75)
    assert closed["concurrency"].details == {"asked": 4, "reached": 1, "mean": pytest.approx(1.0)}
    assert "concurrency" not in figures(make_records, RunFacts(request_rate=10.0))
    assert "concurrency" not in figures(make_records, RunFacts())


def test_the_lag_is_named_after_the_loop(make_records: Any) -> None:
    assert "send_lag" in figures(make_records, RunFacts(request_rate=10.0))
    assert "slot_idle" in figures(make_records, RunFacts(max_concurrency=1))
    assert figures(make_records, RunFacts())["send_lag"].value is None
