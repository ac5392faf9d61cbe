"""The server's stamps beside ours: segments by hand, and the three ways of joining."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tokenclock.metrics.time_breakdown import time_breakdown

MS = 1_000_000


def record(name: str | int, at_s: float, queue_s: float = 0.002) -> dict[str, Any]:
    """An aggregated server's record of a request that arrived at `at_s`."""
    timing = {
        "server_arrival_time": at_s,
        "arrival_time": at_s + 0.001,
        "first_scheduled_time": at_s + 0.001 + queue_s,
        "first_token_time": at_s + 0.006 + queue_s,
        "server_first_token_time": at_s + 0.007 + queue_s,
    }
    return {"request_id": name, "perf_metrics": {"timing_metrics": timing}}


def two(make_records: Any, ids: list[str] | None = None) -> Any:
    made = make_records(
        [{"sent": 100 * MS, "tokens": [115 * MS]}, {"sent": 50 * MS, "tokens": [70 * MS]}, {"status": "connect_error"}]
    )
    return dataclasses.replace(made, response_ids=ids)


def median_ms(found: Any, name: str) -> float:
    return float(found.segments[name]["median_ns"]) / MS


def test_segments_of_one_server_by_hand(make_records: Any) -> None:
    server = [record("a", 10.0, 0.002), record("b", 10.5, 0.004)]
    found = time_breakdown(server, two(make_records, ["a", "b", ""]))
    assert found.method == "response id"
    assert (found.n_records, found.n_joined, found.rows) == (2, 2, (0, 1, -1))
    assert list(found.segments) == [
        "ctx_preprocessing", "ctx_queue", "ctx_processing", "ctx_postprocessing", "outside_server",
    ]  # fmt: skip
    assert median_ms(found, "ctx_preprocessing") == pytest.approx(1)
    assert median_ms(found, "ctx_queue") == pytest.approx(3)
    assert median_ms(found, "ctx_processing") == pytest.approx(5)
    assert median_ms(found, "ctx_postprocessing") == pytest.approx(1)
    assert found.segments["ctx_queue"]["n"] == 2
    # TTFT 15 and 20 ms, of which the server had 9 and 11
    assert median_ms(found, "outside_server") == pytest.approx((6 + 9) / 2)


def test_segments_of_a_disaggregated_server_by_hand(make_records: Any) -> None:
    context, generation = record("a", 10.001), record("x", 10.012)
    server = {
        "ctx_perf_metrics": context,
        "gen_perf_metrics": generation,
        "disagg_server_arrival_time": 10.0,
        "disagg_server_first_token_time": 10.025,
    }
    found = time_breakdown([server], two(make_records, ["", "a", ""]))
    assert (found.method, found.rows) == ("response id", (-1, 0, -1))
    expected = {
        "disagg_preprocessing": 1, "ctx_queue": 2, "disagg_relay": 2, "gen_preprocessing": 1, "gen_queue": 2,
        "gen_postprocessing": 6, "disagg_postprocessing": 4, "outside_server": -5,
    }  # fmt: skip
    assert {name: median_ms(found, name) for name in expected} == pytest.approx(expected)


def test_our_own_id_joins_too(make_records: Any) -> None:
    found = time_breakdown([record("run-1", 1.0)], two(make_records, ["x", "y", "z"]), ["run-0", "run-1", "run-2"])
    assert (found.method, found.rows) == ("response id", (-1, 0, -1))


def test_an_id_that_several_answers_share_joins_nothing(make_records: Any) -> None:
    found = time_breakdown([record("same", 1.0)], two(make_records, ["same", "same", ""]))
    assert found.method == "none"


def test_by_order_of_arrival_when_the_ids_say_nothing(make_records: Any) -> None:
    # row 1 was sent first; the row that never got a connection has no record
    found = time_breakdown([record(9, 20.0), record(3, 10.0)], two(make_records, ["cmpl-a", "cmpl-b", ""]))
    assert (found.method, found.rows, found.n_joined) == ("order", (0, 1, -1), 2)


@pytest.mark.parametrize(
    "server",
    [
        [record(1, 1.0)],  # fewer than requests
        [{"request_id": 1}, {"request_id": 2}],  # no stamps
        [],
    ],
)
def test_what_cannot_be_joined_is_not(make_records: Any, server: list[dict[str, Any]]) -> None:
    found = time_breakdown(server, two(make_records))
    assert (found.method, found.n_joined, found.rows) == ("none", 0, (-1, -1, -1))
    assert "outside_server" not in found.segments


@pytest.mark.parametrize("stamp", [None, "soon", float("nan"), 0, True])
def test_a_stamp_that_is_none_leaves_its_segments_out(make_records: Any, stamp: object) -> None:
    odd = record("a", 10.0)
    odd["perf_metrics"]["timing_metrics"]["first_token_time"] = stamp
    found = time_breakdown([odd, {"perf_metrics": 3}, {"perf_metrics": None}], two(make_records))
    assert set(found.segments) == {"ctx_preprocessing", "ctx_queue"}


def test_a_segment_that_runs_backwards_is_left_out(make_records: Any) -> None:
    odd = record("a", 10.0, queue_s=-0.001)
    assert "ctx_queue" not in time_breakdown([odd], two(make_records)).segments
