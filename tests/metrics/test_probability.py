from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.metrics.probability import beta_cdf, rank_bounds, t_quantile


@pytest.mark.parametrize(
    ("a", "b", "x", "expected"),
    [(1, 1, 0.3, 0.3), (2, 3, 0.5, 0.6875), (3, 1, 0.5, 0.125), (1, 3, 0.5, 0.875), (2, 2, 0, 0), (2, 2, 1, 1)],
)
def test_beta_cdf_by_hand(a: float, b: float, x: float, expected: float) -> None:
    assert beta_cdf(a, b, x) == pytest.approx(expected, abs=1e-14)


@given(st.integers(1, 60), st.data(), st.floats(0.01, 0.99))
def test_beta_cdf_is_the_tail_of_a_binomial(n: int, data: st.DataObject, p: float) -> None:
    k = data.draw(st.integers(1, n))
    tail = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    assert beta_cdf(k, n - k + 1, p) == pytest.approx(tail, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("wrong", [(0, 1), (1, -1), (math.nan, 1)])
def test_beta_cdf_refuses_what_is_no_beta_distribution(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be > 0"):
        beta_cdf(*wrong, 0.5)


# from printed tables of Student's t
@pytest.mark.parametrize(
    ("probability", "dof", "expected"),
    [(0.975, 1, 12.706), (0.975, 9, 2.262), (0.975, 29, 2.045), (0.95, 5, 2.015), (0.995, 10, 3.169), (0.5, 4, 0)],
)
def test_t_quantiles_of_the_tables(probability: float, dof: float, expected: float) -> None:
    assert t_quantile(probability, dof) == pytest.approx(expected, abs=1e-3)


def test_t_of_many_degrees_is_normal() -> None:
    assert t_quantile(0.975, 1e7) == pytest.approx(1.959964, abs=1e-5)


@pytest.mark.parametrize("wrong", [(0.975, 0), (1.0, 5), (0.4, 5)])
def test_t_refuses_what_has_no_quantile(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        t_quantile(*wrong)


@pytest.mark.parametrize(("n", "p"), [(30, 0.5), (1000, 0.99), (400, 0.1), (250.5, 0.97)])
def test_rank_bounds_leave_half_of_the_error_on_either_side(n: float, p: float) -> None:
    bounds = rank_bounds(n, p, 0.95)
    assert bounds is not None
    low, high = (share * (n + 1) for share in bounds)
    # I_p(r, n + 1 - r): the chance that the r-th value lies at or below the quantile
    assert beta_cdf(low, n + 1 - low, p) == pytest.approx(0.975, abs=1e-4)
    assert beta_cdf(high, n + 1 - high, p) == pytest.approx(0.025, abs=1e-4)
    assert bounds[0] < p < bounds[1]


def test_too_few_samples_bound_nothing() -> None:
    # 0.99^368 > 0.025 > 0.99^369: below that the percentile may well lie beyond the largest of all samples
    assert rank_bounds(365, 0.99, 0.95) is None
    assert rank_bounds(369, 0.99, 0.95) is not None
    assert rank_bounds(365, 0.01, 0.95) is None
    assert rank_bounds(5, 0.5, 0.95) is None
    assert rank_bounds(6, 0.5, 0.95) is not None
    assert rank_bounds(0, 0.5, 0.95) is None
