from __future__ import annotations

import numpy as np
import pytest

from tokenclock.metrics.blocks import MAX_BLOCKS, Blocks, time_blocks


def test_blocks_are_at_least_two_lifetimes_long_and_fill_the_span() -> None:
    assert time_blocks(100, 1100, 50) == Blocks(100, 100.0, 10)
    assert time_blocks(100, 1199, 50) == Blocks(100, 109.9, 10)
    assert time_blocks(0, 10_000, 1) == Blocks(0, pytest.approx(10_000 / MAX_BLOCKS), MAX_BLOCKS)


@pytest.mark.parametrize("nothing", [(0, 99, 50.0), (0, 0, 50.0), (0, 100, None), (0, 100, 0.0), (5, 1, 1.0)])
def test_where_none_fits_there_is_none(nothing: tuple[int, int, float | None]) -> None:
    blocks = time_blocks(*nothing)
    assert (blocks.n, blocks.length_ns) == (0, 0)
    assert blocks.of(np.array([1, 2])).tolist() == [0, 0]


def test_instants_go_to_their_blocks() -> None:
    blocks = Blocks(100, 10.0, 3)
    instants = np.array([90, 100, 109, 110, 129, 130, 200])
    assert blocks.t_end_ns == 130
    assert blocks.of(instants).tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert blocks.hold(instants).tolist() == [False, True, True, True, True, True, False]
