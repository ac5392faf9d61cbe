"""Several ranks, one histogram."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.hdr import HdrHistogram
from tokenclock.metrics.ranks import merge_histograms


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
