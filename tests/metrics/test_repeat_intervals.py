from __future__ import annotations

import numpy as np
import pytest

from tokenclock.metrics.repeat_intervals import mean_interval, median_interval


def test_the_median_of_few_values_has_no_interval() -> None:
    assert median_interval(np.arange(5)) is None
    assert median_interval(np.arange(6)[::-1]) == (0, 5)  # 1 - 2 / 2**6 = 96.9 %


def test_order_statistics_by_the_table() -> None:
    """Ranks of the exact 95 % interval: n = 10: 2 and 9, n = 20: 6 and 15, n = 100: 40 and 61."""
    for n, low, high in ((10, 2, 9), (20, 6, 15), (100, 40, 61)):
        assert median_interval(np.arange(1, n + 1)) == (low, high)


def test_the_approximation_meets_the_exact_rank() -> None:
    low, high = median_interval(np.arange(1, 1002)) or (0, 0)
    exact_low, exact_high = median_interval(np.arange(1, 1001)) or (0, 0)
    assert abs(low - exact_low) <= 1
    assert abs(high - exact_high) <= 2


def test_the_mean_of_few_values_has_no_interval() -> None:
    assert mean_interval(np.arange(7)) is None
    assert mean_interval(np.full(10, 3)) == (3.0, 3.0)


def test_the_same_values_give_the_same_interval_in_any_order() -> None:
    values = np.random.default_rng(1).exponential(1e6, 30)
    assert mean_interval(values) == mean_interval(values[::-1])
    low, high = mean_interval(values) or (0, 0)
    assert low < values.mean() < high


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_intervals_cover_what_they_say(draw: str) -> None:
    draws = np.random.default_rng(2)
    n_runs, true_mean = 300, 1.0
    true_median = 1.0 if draw == "normal" else np.log(2)
    covered = np.zeros(2)
    for _ in range(n_runs):
        values = draws.normal(1, 0.3, 30) if draw == "normal" else draws.exponential(1, 30)
        for k, (found, true) in enumerate(((mean_interval(values), true_mean), (median_interval(values), true_median))):
            low, high = found or (0, 0)
            covered[k] += low <= true <= high
    assert np.all(covered / n_runs > 0.91)


def test_many_values_are_resampled_in_blocks() -> None:
    values = np.random.default_rng(3).normal(10, 1, 20_000)
    low, high = mean_interval(values) or (0, 0)
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(20_000), rel=0.15)


def test_a_mean_that_one_value_rules_has_no_interval() -> None:
    values = np.random.default_rng(4).normal(50, 1, 30)
    assert mean_interval(values) is not None
    values[7] = 3000.0  # one stall: its resamples without it would say -5000 to 250, or thousands
    assert mean_interval(values) is None
    assert median_interval(values) is not None
