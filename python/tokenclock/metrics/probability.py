"""The two distributions that intervals need, without SciPy: the beta distribution and Student's t."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

__all__ = ["beta_cdf", "rank_bounds", "t_quantile", "t_two_sided"]

_TERMS = 2000
_PRECISION = 1e-12
_RANK_PRECISION = 1e-6


def beta_cdf(a: float, b: float, x: float) -> float:
    """P(X <= x) of the beta distribution, the regularised incomplete beta function I_x(a, b).

    By its continued fraction (DLMF 8.17.22), whose convergents are taken with Lentz's method.

    Raises:
        ValueError: a or b is not above 0.
    """
    if not (a > 0 and b > 0):
        raise ValueError(f"a and b must be > 0, got {a} and {b}")
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1.0 - beta_cdf(b, a, 1.0 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for coefficient in (even, odd):
            d = 1.0 / (1.0 + coefficient * d)
            c = 1.0 + coefficient / c
            step = c * d
            value *= step
        if abs(step - 1.0) < _PRECISION:
            break
    return value


@lru_cache(maxsize=1024)
def t_quantile(probability: float, dof: float) -> float:
    """The value that Student's t with ``dof`` degrees of freedom stays below with that probability (0.5 <= p < 1).

    Raises:
        ValueError: dof is not above 0, or the probability is not in [0.5, 1).
    """
    if not (dof > 0 and 0.5 <= probability < 1):
        raise ValueError(f"dof must be > 0 and probability in [0.5, 1), got {dof} and {probability}")

    def lacking(share: float) -> float:  # P(T > t) = I(share; dof / 2, 1 / 2) / 2 with share = dof / (dof + t^2)
        return (1.0 - probability) - 0.5 * beta_cdf(dof / 2, 0.5, share)

    share = _root(lacking, 0.0, 1.0)
    return math.sqrt(dof * (1.0 - share) / share)


def t_two_sided(t: float, dof: float) -> float:
    """P(|T| > t) of Student's t with ``dof`` degrees of freedom, for t >= 0.

    Raises:
        ValueError: dof is not above 0, or t is negative.
    """
    if not (dof > 0 and t >= 0):
        raise ValueError(f"dof must be > 0 and t >= 0, got {dof} and {t}")
    return beta_cdf(dof / 2, 0.5, dof / (dof + t * t))


def rank_bounds(n: float, p: float, level: float) -> tuple[float, float] | None:
    """Between which shares of ordered samples the quantile ``p`` lies with that confidence, for ``n`` independent ones.

    The r-th of n ordered values of a continuous distribution has probability I_p(r, n + 1 - r) of lying below the
    quantile. That is solved for r as a real number (Hutson, 1999), and r / (n + 1) returned; n may be an effective
    number of samples and no integer.

    Args:
        n: independent samples, > 0.
        p: 0 < p < 1.
        level: confidence, such as 0.95.

    Returns:
        Two shares in (0, 1); None when n samples cannot bound the quantile: it may lie beyond the first or the last.
    """
    tail = (1.0 - level) / 2.0
    if n <= 0 or p**n > tail or (1.0 - p) ** n > tail:
        return None
    centre, reach = p * (n + 1.0), 8.0 * math.sqrt(p * (1.0 - p) * n) + 8.0
    first, last = max(_RANK_PRECISION, centre - reach), min(n + 1.0 - _RANK_PRECISION, centre + reach)
    low, high = (
        _root(lambda r, target=target: beta_cdf(r, n + 1.0 - r, p) - target, first, last, _RANK_PRECISION)  # type: ignore[misc]
        for target in (1.0 - tail, tail)
    )
    return low / (n + 1.0), high / (n + 1.0)


def _root(function: Callable[[float], float], low: float, high: float, precision: float = 1e-12) -> float:
    """Where a falling function crosses zero between two ends, by halving."""
    while high - low > precision:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
