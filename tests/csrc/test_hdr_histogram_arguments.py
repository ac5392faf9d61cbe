"""What the histogram takes and what it refuses: types, shapes, ranges, states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.csrc.histograms import INT64_MAX, facts, filled

from tokenclock import HdrHistogram
from tokenclock._core import percentile_rank


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", ">i8", ">i4"])
def test_integer_types_that_fit_are_taken(dtype: str) -> None:
    histogram = HdrHistogram(1, 1000, 3)
    assert histogram.record_many(np.array([1, 2, 100], dtype=dtype)) == 3
    assert (histogram.min, histogram.max) == (1, 100)


def test_strided_arrays_lists_and_numpy_scalars_are_taken() -> None:
    histogram = HdrHistogram(1, 1000, 3)
    assert histogram.record_many(np.arange(10)[::-3]) == 4  # 9 6 3 0
    assert histogram.record_many([1, 2]) == 2
    assert histogram.record(np.int64(4))
    assert histogram.recorded()[0].tolist() == [0, 1, 2, 3, 4, 6, 9]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.array([1.5]), TypeError, "values must be an array of int64 .*got float64"),
        (np.array([1], dtype=np.uint64), TypeError, "got uint64"),
        (np.array([True]), TypeError, "got bool"),
        (np.array([], dtype=np.float64), TypeError, "got float64"),
        (["a"], TypeError, "values must be an array of int64"),
        (np.zeros((2, 3), dtype=np.int64), ValueError, "values must have 1 dimension, got 2"),
        (np.int64(3), ValueError, "values must have 1 dimension, got 0"),
    ],
)
def test_record_many_refuses_other_arrays(values: Any, error: type[Exception], message: str) -> None:
    histogram = HdrHistogram(1, 1000, 3)
    with pytest.raises(error, match=message):
        histogram.record_many(values)
    assert histogram.total_count == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1000, 3), "lowest must be >= 1, got 0"),
        ((10, 19, 3), "highest must be >= 2 \\* lowest = 20, got 19"),
        ((1, 1000, 0), "significant_digits must be >= 1 and <= 5, got 0"),
        ((1, 1000, 6), "significant_digits must be >= 1 and <= 5, got 6"),
        ((1, 1000, 2**40), "significant_digits must be >= 1 and <= 5, got 1099511627776"),
        ((2**61, INT64_MAX, 3), "lowest must be < 4503599627370496 at 3 significant digits"),
        ((1, 2**63, 3), "highest must fit in 64 bits, got 9223372036854775808"),
    ],
)
def test_parameters_out_of_range_are_refused(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        HdrHistogram(*arguments)


def test_arguments_out_of_range_are_refused() -> None:
    histogram = filled([5_000_000])
    before = facts(histogram)
    for percentile in (-1, 100.01, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"^percentile must be >= 0 and <= 100, got "):
            histogram.value_at_percentile(percentile)
        with pytest.raises(ValueError, match=r"^percentile must"):
            HdrHistogram().value_at_percentile(percentile)
    for value in (5, 2**70):
        with pytest.raises(ValueError, match=r"^n must be >= 0, got -1"):
            histogram.record_n(value, -1)
    with pytest.raises(ValueError, match=r"^expected_interval must be >= 0 .*got -5"):
        histogram.record_corrected(10, -5)
    with pytest.raises(ValueError, match=r"^low must be <= high = 1, got 2"):
        histogram.count_between(2, 1)
    with pytest.raises(ValueError, match=r"^value must be >= 0 and <= 3600000000000, got -1"):
        histogram.lowest_equivalent(-1)
    with pytest.raises(ValueError, match=r"^n must be >= 1, got 0"):
        percentile_rank(50, 0)
    assert facts(histogram) == before


def test_arguments_of_a_wrong_type_are_refused_in_one_line() -> None:
    histogram: Any = HdrHistogram()
    calls = [
        (lambda: histogram.record(1.5), "value must be an int, got float"),
        (lambda: histogram.record_n(1, "2"), "n must be an int, got str"),
        (lambda: histogram.merge(3), "other must be an HdrHistogram, got int"),
        (lambda: histogram.value_at_percentile("99"), "percentile must be a number, got str"),
        (lambda: HdrHistogram(lowest=1.0), "lowest must be an int, got float"),
    ]
    for call, message in calls:
        with pytest.raises(TypeError, match=f"^{message}$"):
            call()
    assert histogram.total_count == histogram.n_lost == 0


def test_repr_states_range_and_losses() -> None:
    assert repr(filled([5_000_000, -1])) == (
        "HdrHistogram(lowest=1000, highest=3600000000000, significant_digits=3) of total_count=1, n_lost=1"
    )


def test_a_histogram_made_by_new_alone_is_refused_and_a_state_is_set_once() -> None:
    empty = HdrHistogram.__new__(HdrHistogram)
    for use in (lambda: empty.total_count, lambda: empty.record(1), lambda: HdrHistogram().merge(empty)):
        with pytest.raises(TypeError, match="was made by __new__ alone"):
            use()
    histogram = HdrHistogram()
    histogram.record(5000)
    for state in ((1, 2), HdrHistogram().__getstate__()):
        with pytest.raises(TypeError, match="__setstate__ is for a new HdrHistogram"):
            histogram.__setstate__(state)
    assert histogram.total_count == 1
    empty.__setstate__(histogram.__getstate__())
    assert empty == histogram
