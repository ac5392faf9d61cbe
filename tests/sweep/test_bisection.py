"""Which load is tried next, and when it is decided; by hand, and against simulated servers whose truth is known."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.sweep.bisection import KEEPS, MISSES, UNDECIDED, Bisection, Tally, least_requests


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        ([], UNDECIDED),
        ([(100, 100)], KEEPS),  # Wilson's lower bound of 100 of 100 is 0.963
        ([(30, 30)], UNDECIDED),  # of 30 of 30 it is 0.886
        ([(30, 30), (30, 30)], KEEPS),  # of 60 of 60 it is 0.940
        ([(80, 100)], MISSES),  # the upper bound is 0.867
        ([(400, 400), (20, 30)], UNDECIDED),  # one run that misses is not outvoted by good ones
    ],
)
def test_a_load_is_decided_by_all_its_runs(runs: list[tuple[int, int]], verdict: str) -> None:
    assert Tally(0.9, runs).verdict == verdict


@pytest.mark.parametrize(("share", "n"), [(0.9, 35), (0.95, 73), (0.99, 381)])
def test_least_requests(share: float, n: int) -> None:
    assert least_requests(share) == n
    assert Tally(share, [(n, n)]).verdict == KEEPS
    assert Tally(share, [(n - 1, n - 1)]).verdict == UNDECIDED


def search(
    limit: float, low: float, high: float, *, whole: bool, tolerance: float = 0.05
) -> tuple[Bisection, list[float]]:
    bisection, tried = Bisection(low, high, whole, tolerance), []
    for load in bisection.loads():
        tried.append(load)
        bisection.note(load, keeps=load <= limit)
    return bisection, tried


def test_doubling_then_halving_by_hand() -> None:
    bisection, tried = search(11, 1, 64, whole=True)
    assert tried == [1, 2, 4, 8, 16, 12, 10, 11]
    assert (bisection.best, bisection.is_bound) == (11, True)


def test_nothing_keeps_and_everything_keeps() -> None:
    assert search(0, 1, 64, whole=True)[0].best is None
    bisection, tried = search(100, 1, 48, whole=True)
    assert tried == [1, 2, 4, 8, 16, 32, 48]
    assert (bisection.best, bisection.is_bound) == (48, False)


@given(st.floats(0.1, 100), st.floats(1.5, 1000), st.floats(0.01, 0.5))
def test_a_rate_is_found_within_the_tolerance(low: float, factor: float, tolerance: float) -> None:
    high, limit = low * factor, low * factor**0.6
    bisection, tried = search(limit, low, high, whole=False, tolerance=tolerance)
    assert bisection.best is not None
    assert bisection.best <= limit <= bisection.best * (1 + tolerance) * 1.001
    assert len(tried) < 60


@given(st.integers(1, 300), st.integers(1, 50), st.integers(0, 400))
def test_whole_loads_are_found_exactly_without_tolerance(limit: int, low: int, more: int) -> None:
    bisection, tried = search(limit, low, low + more, whole=True, tolerance=1e-9)
    expected = min(limit, low + more) if limit >= low else None
    assert bisection.best == expected
    assert len(set(tried)) == len(tried)


def test_a_bad_load_is_seldom_called_good() -> None:
    """A server that keeps 90 % where 95 % are asked for: of 400 searches few say it keeps."""
    draw = random.Random(5)
    wrong = 0
    for _ in range(400):
        tally = Tally(0.95)
        while len(tally.runs) < 5 and tally.verdict == UNDECIDED:
            tally.runs.append((sum(draw.random() < 0.90 for _ in range(80)), 80))
        wrong += tally.verdict == KEEPS
    assert wrong <= 4
