from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.steady_state import RULES, Window, steady_state, steady_window, to_fill

MS = 1_000_000
CLOSED = RunFacts(max_concurrency=2)


def request(start_ms: int, end_ms: int, **change: Any) -> dict[str, Any]:
    """Tokens at a tenth of the way, and at the end."""
    first = start_ms + (end_ms - start_ms) / 10
    return {"sent": start_ms * MS, "tokens": [round(first * MS), end_ms * MS], **change}


def two_slots(n_each: int) -> list[dict[str, Any]]:
    """Requests of 100 ms in two slots, the second half a request behind the first."""
    requests = [request(100 * i, 100 * (i + 1)) for i in range(n_each)]
    return requests + [request(50 + 100 * i, 150 + 100 * i) for i in range(n_each)]


def test_a_closed_loop_is_steady_from_its_second_turn_to_its_last_sending(make_records: Any) -> None:
    window = steady_window(make_records(two_slots(6)), CLOSED)
    # two requests (as many as slots) have ended at 150; the last is sent at 550
    assert window == Window(RULES["closed"], 150 * MS, 550 * MS)
    assert window.length_ns == 400 * MS


def test_its_numbers_are_of_what_was_sent_and_what_came_inside(make_records: Any) -> None:
    found = steady_state(make_records(two_slots(6)), CLOSED)
    # sent after 150 and up to 550: 200 .. 500 in one slot, 250 .. 550 in the other (150 is the window's start itself)
    assert len(found.rows) == 8
    assert found.concurrency == pytest.approx(2)
    assert found.request_throughput == pytest.approx(8 / 0.4)
    assert found.output_throughput == pytest.approx(16 / 0.4, rel=0.1)
    assert found.distributions["ttft"].mean == 10 * MS
    assert found.distributions["e2el"].n == 8
    assert found.distributions["itl"].n == 8
    assert set(found.distributions) == {"ttft", "tpot", "e2el", "itl"}


def test_a_run_that_only_fills_and_drains_has_no_steady_part(make_records: Any) -> None:
    window = steady_window(make_records(two_slots(2)), CLOSED)
    assert window.t_start_ns is None
    assert window.length_ns == 0
    assert window.reason.startswith(
        "the load held for 0.00 s, needs two median E2EL, 0.20 s: raise --num-prompts to 10"
    )
    nothing = steady_state(make_records(two_slots(2)), CLOSED)
    assert (len(nothing.rows), nothing.concurrency, nothing.distributions) == (0, None, {})


def test_slots_that_were_never_filled(make_records: Any) -> None:
    window = steady_window(make_records(two_slots(6)), RunFacts(max_concurrency=5))
    assert window.reason == "2 of 5 slots were ever filled: raise --num-prompts to 25 or more"


def test_slots_that_stood_empty(make_records: Any) -> None:
    requests = [request(200 * i, 200 * i + 100) for i in range(10)]
    window = steady_window(make_records(requests), RunFacts(max_concurrency=1))
    assert window.reason == "only 0.5 of 1 slots were filled in the mean: see slot idle"


def test_an_open_loop_is_steady_once_its_usual_load_is_reached(make_records: Any) -> None:
    # every 50 ms a request of 200 ms: one, two, three, then four under way
    requests = [request(50 * i, 50 * i + 200, t_scheduled_ns=50 * i * MS) for i in range(40)]
    window = steady_window(make_records(requests), RunFacts(request_rate=20.0))
    assert window == Window(RULES["open"], 150 * MS, 39 * 50 * MS)
    found = steady_state(make_records(requests), RunFacts(request_rate=20.0))
    assert found.concurrency == pytest.approx(4)
    assert found.request_throughput == pytest.approx(20, rel=0.02)
    assert found.distributions["response_ttft"].mean == 20 * MS


def test_loads_that_cannot_be_steady_say_why(make_records: Any) -> None:
    records = make_records(two_slots(6))
    assert steady_window(records, RunFacts()).reason == "all requests were sent at once"
    ramp = RunFacts(request_rate=5.0, ramp_up=("linear", 1.0, 9.0))
    assert steady_window(records, ramp).reason == "the rate was changed over the whole run"
    assert steady_window(make_records([]), CLOSED).reason == "too few requests were answered"
    failed = make_records([{"sent": 1, "status": "timeout", "t_done_ns": 2}] * 3)
    assert steady_window(failed, CLOSED).reason == "too few requests were answered"


def test_the_window_does_not_look_at_what_is_reported(make_records: Any) -> None:
    slow_first_tokens = [{**r, "tokens": [r["tokens"][1] - 1, r["tokens"][1]]} for r in two_slots(6)]
    records = [make_records(requests) for requests in (two_slots(6), slow_first_tokens)]
    assert steady_window(records[0], CLOSED) == steady_window(records[1], CLOSED)


def test_replies_without_a_stream_count_by_their_end(make_records: Any) -> None:
    requests = [{"sent": r["sent"], "last": r["tokens"][1], "osl": 7} for r in two_slots(6)]
    found = steady_state(make_records(requests), RunFacts(max_concurrency=2, streaming=False))
    assert found.output_throughput == pytest.approx(8 * 7 / 0.4)
    assert found.distributions["ttft"].n == 0


def test_a_window_holds_instants_after_its_start() -> None:
    assert Window("r", 10, 20).holds(np.array([9, 10, 11, 20, 21])).tolist() == [False, False, True, True, False]
    assert Window("r").holds(np.array([9])).tolist() == [False]


@pytest.mark.parametrize(
    ("facts", "client", "expected"),
    [
        ({"num_prompts": 4}, {}, "raise --num-prompts to 10 or more"),
        ({"num_prompts": 40}, {}, "raise --num-prompts to 80 or more"),
        ({"num_prompts": 40}, {"interrupted": True}, "let it run to its end"),
        (
            {"num_prompts": 40, "slots_open_ns": 10_000_000_000},
            {},
            "the requests ran out within --ramp-up-seconds 10: shorten it, or raise --num-prompts",
        ),
    ],
)
def test_what_to_do_about_slots_that_were_never_full(
    facts: dict[str, Any], client: dict[str, Any], expected: str, make_records: Any
) -> None:
    records = make_records([request(0, 100)], client=client)
    assert to_fill(2, records, RunFacts(max_concurrency=2, **facts)) == expected
