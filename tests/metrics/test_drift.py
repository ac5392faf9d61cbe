from __future__ import annotations

import numpy as np
import pytest

from tokenclock.metrics.drift import drift


def test_few_values_have_no_trend() -> None:
    assert drift(np.array([], np.int64)).first_excess is None
    assert drift(np.array([5, 5], np.int64)).first_excess is None
    found = drift(np.array([12, 10, 10, 10], np.int64))
    assert (found.n, found.p_value, found.change) == (4, None, None)
    assert found.first_excess == pytest.approx(0.2)


def test_the_first_is_held_against_the_median_of_the_rest() -> None:
    assert drift(np.array([30, 10, 20, 10, 1000], np.int64)).first_excess == pytest.approx(1.0)
    assert drift(np.array([5, 0, 0], np.int64)).first_excess is None


def test_a_straight_line_is_a_trend_and_its_change_is_that_of_the_line() -> None:
    found = drift(np.arange(100, 130, dtype=np.int64))
    assert found.p_value is not None
    assert found.p_value < 1e-9
    assert found.change == pytest.approx(29 / 114.5)
    falling = drift(np.arange(130, 100, -1, dtype=np.int64))
    assert falling.p_value == found.p_value
    assert falling.change == pytest.approx(-29 / 115.5)


def test_mann_kendall_by_hand() -> None:
    """n = 8, one pair out of order: S = 27 - 1 = 26, variance 8 * 7 * 21 / 18, z = 25 / sqrt(65.33) = 3.093."""
    found = drift(np.array([1, 2, 3, 4, 5, 6, 8, 7], np.int64))
    assert found.p_value == pytest.approx(0.00198, abs=1e-5)


def test_ties_count_for_less_variance_and_equal_values_are_no_trend() -> None:
    assert drift(np.full(20, 7, np.int64)).p_value == 1.0
    assert drift(np.full(20, 7, np.int64)).change == 0


def test_noise_is_rarely_a_trend() -> None:
    draws = np.random.default_rng(0)
    found = [drift(draws.normal(100, 5, 40)).p_value for _ in range(400)]
    share = np.mean([p is not None and p < 0.05 for p in found])
    assert 0.02 < share < 0.09


def test_long_series_are_thinned_evenly() -> None:
    found = drift(np.arange(50_000, dtype=np.int64) + 1_000_000)
    assert found.p_value is not None
    assert found.p_value < 1e-9
