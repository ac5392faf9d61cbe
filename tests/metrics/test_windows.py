"""Windows of time: what ended in each, and perf_analyzer's rule of agreement."""

from __future__ import annotations

import numpy as np
import pytest

from tokenclock.metrics.windows import Window, are_stable, window_of


def test_what_ended_in_the_window_counts() -> None:
    last = np.array([99, 100, 150, 199, 200, 150], dtype=np.int64)
    sent = np.array([0, 10, 20, 30, 40, 0], dtype=np.int64)
    ok = np.array([True, True, True, True, True, False])
    found = window_of(100, 200, ok=ok, t_sent_ns=sent, t_last_token_ns=last)
    assert found == Window(100, 200, 3, 3e7, (90 + 130 + 169) / 3)


def windows(*values: tuple[float, float | None]) -> list[Window]:
    return [Window(0, 1, 1, rate, latency) for rate, latency in values]


@pytest.mark.parametrize(
    ("values", "percent", "agree"),
    [
        ([(10, 100), (10.9, 100), (10, 109)], 10, True),
        ([(10, 100), (11.1, 100), (10, 100)], 10, False),
        ([(10, 100), (10, 100), (10, 111)], 10, False),
        ([(10, 100), (90, 800), (10, 100)], 999, True),
        ([(10, 100), (0, None), (10, 100)], 999, False),
    ],
)
def test_largest_over_smallest(values: list[tuple[float, float | None]], percent: float, agree: bool) -> None:
    assert are_stable(windows(*values), percent) is agree


def test_no_window_is_stable() -> None:
    assert not are_stable([], 999)
