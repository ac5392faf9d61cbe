from __future__ import annotations

import math

import numpy as np
import pytest

from tokenclock.compare import ratio
from tokenclock.compare.estimate import Estimate, estimate
from tokenclock.metrics.probability import t_quantile, t_two_sided


def test_two_runs_alike_in_width_make_an_interval_wider_by_root_two() -> None:
    one = Estimate(100.0, 100 / 1.1, 110.0, 29)
    found = ratio.from_estimates([one], [one])
    low, high = found.interval
    # each log half-width is log(1.1) at 29 degrees of freedom; together 58, and the t quantile falls with them
    half = math.sqrt(2) * math.log(1.1) * t_quantile(0.975, 58) / t_quantile(0.975, 29)
    assert (found.ratio, found.dof) == (1.0, pytest.approx(58))
    assert math.log(high) == pytest.approx(half)
    assert math.log(low) == pytest.approx(-half)
    assert found.p_value == 1.0


def test_a_lopsided_interval_stays_lopsided() -> None:
    base, other = Estimate(100.0, 99.0, 101.0, 29), Estimate(100.0, 99.0, 150.0, 29)
    low, high = ratio.from_estimates([base], [other]).interval
    assert 1 - low < 0.03
    assert high - 1 > 0.4
    turned_low, turned_high = ratio.from_estimates([other], [base]).interval
    assert (turned_low, turned_high) == (pytest.approx(1 / high), pytest.approx(1 / low))


def test_few_runs_are_as_wide_as_they_differ_where_that_is_more() -> None:
    sure = [Estimate(value, value * 0.999, value * 1.001, 29) for value in (100.0, 110.0, 121.0)]
    found = ratio.from_estimates(sure, [Estimate(110.0, 109.9, 110.1, 29)])
    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.below >= math.log(1.1) / math.sqrt(3)  # the standard deviation of the three logs is log(1.1)


def test_paired_runs_forget_what_both_share() -> None:
    base = [100.0, 200.0, 50.0, 120.0, 80.0, 300.0]
    other = [value * factor for value, factor in zip(base, (1.09, 1.1, 1.11, 1.09, 1.1, 1.11), strict=True)]
    paired, apart = ratio.from_paired_runs(base, other), ratio.from_runs(base, other)
    assert paired.ratio == pytest.approx(1.1, abs=0.001)
    assert apart.ratio == pytest.approx(paired.ratio)
    assert paired.p_value < 1e-5
    assert apart.p_value > 0.5
    assert paired.dof == 5


def test_runs_by_hand() -> None:
    base, other = np.exp([0.0, 0.2]), np.exp([1.0, 1.2])
    found = ratio.from_runs(list(base), list(other))
    assert found.value == pytest.approx(1.0)
    assert found.below == pytest.approx(0.1 * math.sqrt(2))  # each mean of two has a standard error of 0.1
    assert found.dof == pytest.approx(2)
    assert found.p_value == pytest.approx(t_two_sided(1 / (0.1 * math.sqrt(2)), 2))


def test_the_visible_difference_is_what_test_and_power_ask_for() -> None:
    found = ratio.LogRatio(0.0, 0.01, 0.02, 1e6)
    assert found.visible(0.05, 0.8) == pytest.approx(math.expm1(0.02 * (1.95996 + 0.84162)), rel=1e-4)


def test_t_two_sided() -> None:
    assert t_two_sided(0, 5) == 1.0
    assert t_two_sided(t_quantile(0.975, 7), 7) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="t >= 0"):
        t_two_sided(-1, 5)


def test_sides_of_several_runs_are_shown_by_their_geometric_mean() -> None:
    runs = [Estimate(100.0), Estimate(400.0)]
    assert ratio.mean_with_interval(runs) == (pytest.approx(200.0), None, None)
    value, low, high = ratio.mean_with_interval([Estimate(v) for v in (100.0, 400.0) * 3])
    assert value == pytest.approx(200.0)
    assert low is not None
    assert high is not None
    assert low * high == pytest.approx(value**2)


def test_an_estimate_says_why_it_has_no_interval() -> None:
    assert estimate(None, None, 1, "x") is None
    assert estimate(0.0, None, 1, "x") is None
    assert estimate(5.0, None, 1, "too old") == Estimate(5.0, reason="too old")
    assert estimate(5.0, {"low": None, "high": None, "reason": "short"}, 9, "") == Estimate(5.0, reason="short")
    assert estimate(5.0, {"low": 0.0, "high": 9.0}, 9, "").reason == "its interval reaches 0"  # type: ignore[union-attr]
    assert estimate(5.0, {"low": 4, "high": 6}, 9, "") == Estimate(5.0, 4.0, 6.0, 9)
