"""Several ranks, one answer: numbers that can be read off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.hdr import HdrHistogram
from tokenclock.metrics.ranks import RankShare, Skew, merge_histograms, rank_shares, skew, slowest_ns

BY_RANK = [np.array([10, 20, 30, 40]), np.array([12, 16, 30, 80])]


def test_an_iteration_lasts_as_long_as_its_slowest_rank() -> None:
    assert slowest_ns(BY_RANK).tolist() == [12, 20, 30, 80]
    assert slowest_ns(BY_RANK[:1]).tolist() == [10, 20, 30, 40]


def test_skew_is_slowest_minus_fastest() -> None:
    # apart 2 4 0 40, over the slowest 1/6 1/5 0 1/2
    found = skew(BY_RANK)
    assert (found.n, found.median_ns, found.max_ns) == (4, 3.0, 40)
    assert found.mean_share == pytest.approx((1 / 6 + 1 / 5 + 0 + 1 / 2) / 4)


def test_one_rank_is_not_skewed_and_none_is_missing() -> None:
    assert skew(BY_RANK[:1]) == Skew(4, 0.0, 0, 0.0)
    empty = [np.zeros(0, np.int64)] * 2
    assert skew(empty) == Skew(0, None, None, None)
    assert rank_shares(empty) == [RankShare(0, 0, 0, None, None, None), RankShare(1, 0, 0, None, None, None)]
    assert len(slowest_ns(empty)) == 0


def test_iterations_of_no_length_have_no_share() -> None:
    assert skew([np.array([0]), np.array([0])]) == Skew(1, 0.0, 0, 0.0)


def test_each_rank_has_its_part() -> None:
    # a tie counts for both
    assert rank_shares(BY_RANK) == [RankShare(0, 4, 2, 25.0, 25.0, 40), RankShare(1, 4, 3, 34.5, 23.0, 80)]


@pytest.mark.parametrize("by_rank", [[], [np.zeros(2, np.int64), np.zeros(3, np.int64)]])
def test_ranks_must_have_run_the_same_iterations(by_rank: list[np.ndarray]) -> None:
    for compute in (slowest_ns, skew, rank_shares):
        with pytest.raises(ValueError, match="same number of iterations"):
            compute(by_rank)


@given(st.lists(st.lists(st.integers(0, 10**14), max_size=20), min_size=1, max_size=4))
def test_merging_is_recording_in_one(values: list[list[int]]) -> None:
    parts, whole = [], HdrHistogram()
    for own in values:
        part = HdrHistogram()
        for value in own:  # some are past the highest: lost, and counted as such
            part.record(value)
            whole.record(value)
        parts.append(part)
    before = [part.copy() for part in parts]
    merged = merge_histograms(parts)
    assert merged == whole
    assert (merged.total_count, merged.n_lost) == (whole.total_count, whole.n_lost)
    assert parts == before


def test_histograms_of_other_limits_are_not_merged() -> None:
    with pytest.raises(ValueError, match=r"from rank 1"):
        merge_histograms([HdrHistogram(), HdrHistogram(significant_digits=3)])
    with pytest.raises(ValueError, match="got none"):
        merge_histograms([])
