"""Wilson's interval against values worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.metrics.wilson import wilson_interval


def test_by_hand() -> None:
    # z = 2: spread 4/10, centre (0.8 + 0.2)/1.4 = 5/7, half sqrt(0.8 * 0.2 * 0.4 + 0.04)/1.4 = sqrt(0.104)/1.4
    found = wilson_interval(8, 10, z=2.0)
    assert found == pytest.approx((5 / 7 - 0.104**0.5 / 1.4, 5 / 7 + 0.104**0.5 / 1.4))


@pytest.mark.parametrize(
    ("n_good", "n", "low", "high"),
    [
        (8, 10, 0.4901625, 0.9433178),
        (50, 100, 0.4038315, 0.5961685),
        (0, 10, 0.0, 0.2775328),  # z^2/(n + z^2)
        (10, 10, 0.7224672, 1.0),
        (1, 1, 0.2065493, 1.0),
    ],
)
def test_published_values(n_good: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(n_good, n) == pytest.approx((low, high), abs=5e-7)


@given(n=st.integers(1, 10**9), share=st.floats(0, 1))
def test_the_share_lies_inside_and_the_bounds_in_0_to_1(n: int, share: float) -> None:
    n_good = round(n * share)
    found = wilson_interval(n_good, n)
    assert found is not None
    low, high = found
    assert 0 <= low <= n_good / n <= high <= 1


def test_nothing_counted_and_nonsense() -> None:
    assert wilson_interval(0, 0) is None
    with pytest.raises(ValueError, match=r"n_good must be in 0\.\.3, got 4"):
        wilson_interval(4, 3)
