"""The interval of a share that was counted: Wilson's, which holds for few requests and for shares near 0 and 1."""

from __future__ import annotations

import math

__all__ = ["wilson_interval"]

_Z_95 = 1.959963984540054  # the normal quantile of 0.975


def wilson_interval(n_good: int, n: int, z: float = _Z_95) -> tuple[float, float] | None:
    """Bounds of the share ``n_good / n`` at 95 % confidence (``z`` normal deviations); None when ``n`` is 0.

    Raises:
        ValueError: ``n_good`` is not in 0..n.
    """
    if not 0 <= n_good <= n:
        raise ValueError(f"n_good must be in 0..{n}, got {n_good}")
    if n == 0:
        return None
    share, spread = n_good / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    low = 0.0 if n_good == 0 else centre - half  # exactly the bound, whatever the last digit of the sum
    high = 1.0 if n_good == n else centre + half
    return low, high
