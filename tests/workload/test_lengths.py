"""Lengths keep their bounds, reach both, and are those of the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.workload.lengths import draw_lengths, length_bounds
from tokenclock.workload.streams import stream


@pytest.mark.parametrize(
    ("length", "ratio", "bounds"),
    [(1024, 0.0, (1024, 1024)), (100, 0.2, (80, 120)), (10, 0.25, (7, 12)), (1, 0.9, (1, 1)), (2, 0.9, (1, 3))],
)
def test_bounds_are_truncated_and_at_least_one(length: int, ratio: float, bounds: tuple[int, int]) -> None:
    assert length_bounds(length, ratio) == bounds


@given(length=st.integers(1, 100_000), ratio=st.floats(0, 0.999), seed=st.integers(0, 2**32))
def test_lengths_stay_within_the_bounds(length: int, ratio: float, seed: int) -> None:
    low, high = length_bounds(length, ratio)
    drawn = draw_lengths(stream("input_lengths", seed), 50, length, ratio)
    assert drawn.dtype == np.int32
    assert low <= drawn.min() <= drawn.max() <= high


def test_both_bounds_are_drawn_and_all_about_equally_often() -> None:
    drawn = draw_lengths(stream("input_lengths", 1), 11_000, 10, 0.5)
    counts = np.bincount(drawn, minlength=16)[5:16]
    assert drawn.min() == 5
    assert drawn.max() == 15
    assert counts.min() > 850  # 1000 expected each; five standard deviations are 150
    assert counts.max() < 1150


def test_a_seed_gives_input_and_output_lengths_of_their_own() -> None:
    inputs = draw_lengths(stream("input_lengths", 7), 100, 1000, 0.5)
    assert np.array_equal(inputs, draw_lengths(stream("input_lengths", 7), 100, 1000, 0.5))
    assert not np.array_equal(inputs, draw_lengths(stream("output_lengths", 7), 100, 1000, 0.5))
    assert not np.array_equal(inputs, draw_lengths(stream("input_lengths", 8), 100, 1000, 0.5))


def test_more_requests_do_not_change_the_first_ones() -> None:
    few, many = (draw_lengths(stream("input_lengths", 7), n, 1000, 0.5) for n in (10, 100))
    assert np.array_equal(few, many[:10])


@pytest.mark.parametrize(
    ("style", "length", "ratio", "bounds"),
    [
        ("trtllm", 15, 0.25, (11, 18)),  # 11.25 and 18.75
        ("vllm", 15, 0.25, (11, 19)),
        ("vllm", 1024, 0.0, (1024, 1024)),
        ("vllm", 1, 0.9, (1, 2)),
        ("sglang", 15, 0.25, (3, 15)),
        ("sglang", 15, 1.0, (15, 15)),
        ("sglang", 15, 0.0, (1, 15)),
    ],
)
def test_each_tool_s_own_bounds(style: str, length: int, ratio: float, bounds: tuple[int, int]) -> None:
    assert length_bounds(length, ratio, style) == bounds
    drawn = draw_lengths(np.random.default_rng(0), 2000, length, ratio, style)
    assert (int(drawn.min()), int(drawn.max())) == bounds
