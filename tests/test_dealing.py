"""Rows dealt to ranks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.dealing import rank_of_rows, share_of_slots


def test_rows_follow_the_slots() -> None:
    # slots 0 2 4 are rank 0's, 1 3 rank 1's
    assert rank_of_rows(12, 2, 5).tolist() == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1]
    assert rank_of_rows(5, 2, None).tolist() == [0, 1, 0, 1, 0]


@given(st.integers(1, 200), st.integers(1, 9))
def test_slots_are_divided_evenly(total: int, size: int) -> None:
    shares = [share_of_slots(total, rank, size) for rank in range(size)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 20))
def test_all_ranks_have_the_same_rounds_to_go(size: int, slots: int, rounds: int) -> None:
    rows = rank_of_rows(rounds * slots, size, slots)
    assert all((rows == rank).sum() == rounds * share_of_slots(slots, rank, size) for rank in range(size))


def test_the_example_of_the_page_on_ranks() -> None:
    of = rank_of_rows(10, 2, 5)
    assert [np.flatnonzero(of == rank).tolist() for rank in range(2)] == [[0, 2, 4, 5, 7, 9], [1, 3, 6, 8]]
    assert [share_of_slots(5, rank, 2) for rank in range(2)] == [3, 2]
    assert rank_of_rows(5, 2, None).tolist() == [0, 1, 0, 1, 0]
