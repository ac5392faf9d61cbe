"""The picture of a session: what its axis spans."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tokenclock.perftest import report_page


def decided(verdict: str, ratio: float, low: float | None, high: float | None) -> Any:
    return SimpleNamespace(metric="M", verdict=verdict, ratio=ratio, low=low, high=high)


def test_the_axis_spans_every_change_and_no_noisy_bar() -> None:
    pairs = [
        (1, decided("regression", 1.10, 1.05, 1.20)),
        (1, decided("too noisy", 1.30, 0.10, 36.0)),
        (2, decided("no difference shown", 0.99, None, None)),
    ]
    low, high = report_page._range(pairs)
    assert -10 < low < -1
    assert 30 < high < 40


def test_an_axis_of_nothing_but_noise_still_spans_something() -> None:
    low, high = report_page._range([(1, decided("too noisy", 1.0, 0.1, 9.0))])
    assert low < 0 < high
