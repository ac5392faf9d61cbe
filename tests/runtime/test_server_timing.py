"""Phases of a batch from the engine's own times, by hand."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenclock.runtime.server_timing import batch_phases_ns, iterations, ran_together


def row(arrival: float, scheduled: float, first: float, last: float, **others: Any) -> SimpleNamespace:
    """Instants in ms; ``first_iter`` and ``last_iter`` may be named."""
    times = SimpleNamespace(
        arrival_time=timedelta(milliseconds=arrival),
        first_scheduled_time=timedelta(milliseconds=scheduled),
        first_token_time=timedelta(milliseconds=first),
        last_token_time=timedelta(milliseconds=last),
    )
    return SimpleNamespace(timing_metrics=times, **others)


def test_phases_span_the_batch() -> None:
    rows = [row(100, 103, 110, 150), row(101, 104, 112, 148)]
    assert batch_phases_ns(rows) == {
        "queue": 3_000_000,  # 100 to 103
        "prefill": 9_000_000,  # 103 to 112
        "ttft": 12_000_000,  # 100 to 112
        "decode": 38_000_000,  # 112 to 150
    }


def test_what_is_not_told_is_left_out() -> None:
    assert batch_phases_ns([]) == {}
    assert batch_phases_ns([None]) == {}
    assert batch_phases_ns([row(1, 2, 3, 4), None]) == {}
    # zero is how the engine says that the last token is not there yet
    assert batch_phases_ns([row(1, 2, 3, 0)]) == {"queue": 1_000_000, "prefill": 1_000_000, "ttft": 2_000_000}
    partial = SimpleNamespace(timing_metrics=SimpleNamespace(arrival_time=timedelta(seconds=1)))
    assert batch_phases_ns([partial]) == {}


def test_microseconds_survive_long_up_times() -> None:
    day = 86_400_000.0
    assert batch_phases_ns([row(400 * day, 400 * day + 0.001, 400 * day + 1, 400 * day + 2)])["queue"] == 1_000


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=1, max_size=5))
def test_phases_add_up(gaps: list[tuple[int, int, int, int]]) -> None:
    rows = []
    for a, b, c, d in gaps:
        rows.append(row(1 + a, 100 + b, 200 + c, 300 + d))
    phases = batch_phases_ns(rows)
    assert phases["queue"] + phases["prefill"] == phases["ttft"]
    whole = max(300 + d for *_, d in gaps) - min(1 + a for a, *_ in gaps)
    assert phases["ttft"] + phases["decode"] == whole * 1_000_000


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [([4, 4], [9, 9], True), ([4, 5], [9, 9], False), ([4, 4], [9, 10], False), ([4, None], [9, 9], None)],
)
def test_rows_ran_together_when_they_share_their_iterations(
    first: list[int | None], last: list[int], expected: bool | None
) -> None:
    rows = [row(1, 2, 3, 4, first_iter=a, last_iter=b) for a, b in zip(first, last, strict=True)]
    assert ran_together(rows) is expected
    assert (iterations(rows) is None) == (expected is None)
    assert ran_together([row(1, 2, 3, 4)]) is None
    assert ran_together([]) is None
