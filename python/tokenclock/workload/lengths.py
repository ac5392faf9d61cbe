"""How long prompts and answers are, in tokens."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["draw_lengths", "length_bounds"]


def length_bounds(length: int, range_ratio: float, style: str = "trtllm") -> tuple[int, int]:
    """Smallest and largest length, each at least 1, for L >= 1 and a ratio r, in the way of the named tool.

    `trtllm`: int(L(1-r)) to int(L(1+r)), r in [0, 1). `vllm`: the same rounded outward, floor to ceil.
    `sglang`: int(rL) to L, r in [0, 1], so that 1 is fixed.
    """
    if style == "sglang":
        return max(1, int(length * range_ratio)), length
    high = length * (1.0 + range_ratio)
    return max(1, int(length * (1.0 - range_ratio))), max(1, math.ceil(high) if style == "vllm" else int(high))


def draw_lengths(
    generator: np.random.Generator, count: int, length: int, range_ratio: float, style: str = "trtllm"
) -> npt.NDArray[np.int32]:
    """`count` whole numbers, uniform on both bounds of `length_bounds` included, int32."""
    low, high = length_bounds(length, range_ratio, style)
    return generator.integers(low, high, size=count, dtype=np.int64, endpoint=True).astype(np.int32)
