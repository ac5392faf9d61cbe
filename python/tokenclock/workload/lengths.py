"""How long prompts and answers are, in tokens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["draw_lengths", "length_bounds"]


def length_bounds(length: int, range_ratio: float) -> tuple[int, int]:
    """Smallest and largest length for L >= 1 and a ratio r in [0, 1): int(L(1-r)) but at least 1, and int(L(1+r))."""
    return max(1, int(length * (1.0 - range_ratio))), max(1, int(length * (1.0 + range_ratio)))


def draw_lengths(generator: np.random.Generator, count: int, length: int, range_ratio: float) -> npt.NDArray[np.int32]:
    """`count` whole numbers, uniform on both bounds of `length_bounds` included, int32."""
    low, high = length_bounds(length, range_ratio)
    return generator.integers(low, high, size=count, dtype=np.int64, endpoint=True).astype(np.int32)
