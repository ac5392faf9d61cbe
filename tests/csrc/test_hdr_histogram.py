"""HdrHistogram from Python: golden vectors, the `hdrhistogram` package, properties, pickles, threads, messages."""

from __future__ import annotations

import copy
import pickle
import statistics
import threading
import time

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram as ReferenceHistogram
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.csrc.histograms import HOUR_NS, INT64_MAX, PERCENTILES, facts, filled

from tokenclock import HdrHistogram
from tokenclock._core import percentile_rank

in_range = st.one_of(st.integers(0, HOUR_NS), st.integers(0, 100_000), st.integers(1_000_000, 100_000_000))
any_value = st.one_of(in_range, st.integers(-(2**63), INT64_MAX))
digits = st.integers(1, 5)


untimed = settings(deadline=None)  # a busy machine fails no property


# --- golden vectors ---


def test_correction_of_one_long_stall() -> None:
    raw, corrected = HdrHistogram(1, 3_600_000_000, 3), HdrHistogram(1, 3_600_000_000, 3)
    for histogram in (raw, corrected):
        assert histogram.record_n(1_000, 10_000)
    assert raw.record(100_000_000)
    assert corrected.record_corrected(100_000_000, 10_000)
    assert raw.total_count == 10_001
    assert corrected.total_count == 20_000
    assert raw.value_at_percentile(99) == 1_000
    assert corrected.value_at_percentile(75) == corrected.highest_equivalent(50_000_000)


@pytest.mark.parametrize(
    ("percentile", "n", "rank"),
    [(99, 160, 159), (99.9, 1000, 999), (50, 2, 1), (50, 3, 2), (0, 5, 1), (100, 5, 5), (99, 1, 1), (99, 100, 99)],
)
def test_rank_of_a_percentile(percentile: float, n: int, rank: int) -> None:
    assert percentile_rank(percentile, n) == rank
    histogram = HdrHistogram(1, 10_000, 4)
    histogram.record_many(np.arange(1, n + 1))  # the value of rank k is k
    assert histogram.value_at_percentile(percentile) == rank


def test_defaults_are_those_of_the_design() -> None:
    histogram = HdrHistogram()
    assert (histogram.lowest, histogram.highest, histogram.significant_digits) == (1000, HOUR_NS, 4)
    assert histogram.memory_bytes >= histogram.counts.nbytes
    assert histogram.record(63_000_000)
    width = histogram.highest_equivalent(63_000_000) - histogram.lowest_equivalent(63_000_000) + 1
    assert width <= 6_300


def test_scaling_by_a_power_of_two_keeps_the_percentiles() -> None:
    values = np.random.default_rng(5).integers(0, 3_600_000_000, 10_000)
    plain, scaled = HdrHistogram(1, 3_600_000_000, 3), HdrHistogram(512, 3_600_000_000 * 512, 3)
    plain.record_many(values)
    scaled.record_many(values * 512)
    for p in PERCENTILES:
        value = plain.value_at_percentile(p)
        assert value is not None
        assert scaled.value_at_percentile(p) == value * 512 + 511


def test_moments_of_a_short_row() -> None:
    histogram = HdrHistogram(1, 1000, 3)
    values = [2, 4, 4, 4, 5, 5, 7, 9]
    histogram.record_many(np.array(values))
    assert (histogram.mean, histogram.std) == (5.0, 2.0)
    assert (histogram.min, histogram.max) == (2, 9)
    assert histogram.percentile_at_value(4) == 50.0
    assert histogram.count_between(4, 5) == 5
    recorded_values, counts = histogram.recorded()
    assert dict(zip(recorded_values.tolist(), counts.tolist(), strict=True)) == {2: 1, 4: 3, 5: 2, 7: 1, 9: 1}


# --- empty, losses, overflow ---


def test_an_empty_histogram_answers_none_and_counts_zero() -> None:
    empty = HdrHistogram()
    for name in ("min", "max", "mean", "std"):
        assert getattr(empty, name) is None
    assert empty.value_at_percentile(50) is None
    assert empty.percentile_at_value(5_000) is None
    assert (empty.total_count, empty.n_lost, empty.count_between(0, HOUR_NS)) == (0, 0, 0)
    assert [column.size for column in empty.recorded()] == [0, 0]
    assert empty.record_many([]) == 0


def test_values_out_of_range_are_refused_and_counted() -> None:
    histogram = HdrHistogram(1000, 2_000_000, 3)
    assert histogram.record(2_000_000)
    assert histogram.record(0)
    assert not histogram.record(2_000_001)
    assert not histogram.record(-1)
    assert not histogram.record(2**70)
    assert not histogram.record_n(-(2**70), 10)
    assert histogram.record_many(np.array([-(2**63), 5, INT64_MAX])) == 1
    assert (histogram.total_count, histogram.n_lost) == (3, 15)
    assert (histogram.min, histogram.max) == (0, 2_000_000)
    histogram.reset()
    assert histogram == HdrHistogram(1000, 2_000_000, 3)
    assert histogram.min is None


def test_correction_counts_the_part_above_the_range_as_lost() -> None:
    histogram = HdrHistogram(1, 1000, 3)
    assert not histogram.record_corrected(1_200, 100)  # 1200 and 1100 are out, 1000 ... 100 are in
    assert (histogram.total_count, histogram.n_lost) == (10, 2)
    assert (histogram.min, histogram.max) == (100, 1000)


def test_the_total_cannot_leave_64_bits() -> None:
    histogram = HdrHistogram(1, 1000, 1)
    assert histogram.record_n(10, INT64_MAX)
    with pytest.raises(OverflowError, match=r"total_count must stay <= 9223372036854775807, got .* \+ 1"):
        histogram.record(10)
    with pytest.raises(OverflowError):
        histogram.merge(histogram)
    assert histogram.total_count == INT64_MAX


# --- against the hdrhistogram package ---


@pytest.mark.parametrize("significant_digits", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("lowest", [1, 1000])
def test_counts_equal_those_of_the_hdrhistogram_package(significant_digits: int, lowest: int) -> None:
    rng = np.random.default_rng(significant_digits)
    values = np.concatenate(
        [
            rng.integers(0, 5_000, 300),
            rng.lognormal(np.log(20e6), 1.5, 1_200).astype(np.int64),
            np.exp(rng.uniform(0, np.log(HOUR_NS), 500)).astype(np.int64),
            [0, 1, HOUR_NS - 1, HOUR_NS],
        ]
    )
    ours = HdrHistogram(lowest, HOUR_NS, significant_digits)
    reference = ReferenceHistogram(lowest, HOUR_NS, significant_digits)
    assert ours.record_many(values) == len(values)
    for value in values.tolist():
        assert reference.record_value(value)
    assert ours.counts.size == reference.counts_len
    assert np.array_equal(ours.counts, np.array(reference.counts[:], dtype=np.int64))

    n = reference.get_total_count()
    assert ours.total_count == n
    n_compared = 0
    wanted = [float(p) for p in range(1, 101)] + [99.5, 99.9]
    # The package rounds the rank half up where ours takes the ceiling: compare where both ask for the same one.
    same = [p for p in wanted if percentile_rank(p, n) == reference.get_target_count_at_percentile(p)]
    for p, value in reference.get_percentile_to_value_dict(same).items():
        assert ours.value_at_percentile(p) == value
        n_compared += 1
    assert n_compared >= 40


def test_corrected_counts_equal_those_of_the_hdrhistogram_package() -> None:
    ours, reference = HdrHistogram(1, 10_000_000, 2), ReferenceHistogram(1, 10_000_000, 2)
    for multiple in (1, 2, 7, 500):  # the package also back-fills a rest below the interval; multiples have none
        ours.record_corrected(multiple * 1_234, 1_234)
        reference.record_corrected_value(multiple * 1_234, 1_234)
    assert np.array_equal(ours.counts, np.array(reference.counts[:], dtype=np.int64))


# --- properties ---


@untimed
@given(st.lists(any_value, max_size=60), st.lists(any_value, max_size=60), st.integers(1, 3))
def test_merging_parts_gives_the_whole(first: list[int], second: list[int], significant_digits: int) -> None:
    merged = filled(first, significant_digits=significant_digits)
    assert merged.merge(filled(second, significant_digits=significant_digits)) == 0
    whole = filled(first + second, significant_digits=significant_digits)
    assert merged == whole
    assert facts(merged) == facts(whole)


@untimed
@given(st.lists(any_value, max_size=60).flatmap(lambda row: st.tuples(st.just(row), st.permutations(row))))
def test_the_order_of_recording_does_not_matter(rows: tuple[list[int], list[int]]) -> None:
    assert filled(rows[0]) == filled(rows[1])
    assert facts(filled(rows[0])) == facts(filled(rows[1]))


@untimed
@given(st.lists(in_range, min_size=1, max_size=100), digits, st.floats(0, 100))
def test_a_percentile_is_in_the_bucket_of_the_sorted_value(row: list[int], significant_digits: int, p: float) -> None:
    histogram = filled(row, significant_digits=significant_digits)
    exact = sorted(row)[percentile_rank(p, len(row)) - 1]
    got = histogram.value_at_percentile(p)
    assert got == histogram.highest_equivalent(exact)
    assert 0 <= got - exact < max(1000, exact / 10**significant_digits)


@untimed
@given(st.lists(in_range, min_size=1, max_size=100), digits)
def test_mean_and_deviation_are_within_half_a_bucket(row: list[int], significant_digits: int) -> None:
    histogram = filled(row, significant_digits=significant_digits)
    half_width = max(1000.0, max(row) / 10**significant_digits) / 2
    assert histogram.mean == pytest.approx(statistics.fmean(row), abs=half_width + 1)
    assert histogram.std == pytest.approx(statistics.pstdev(row), abs=2 * half_width + 1)
    assert min(row) <= histogram.mean <= max(row)


@untimed
@given(st.lists(in_range, max_size=60), any_value, any_value)
def test_shares_and_counts_agree_with_the_row(row: list[int], one: int, other: int) -> None:
    histogram = filled(row)
    low, high = sorted([min(one, HOUR_NS), min(other, HOUR_NS)])
    expected = 0
    if high >= 0:
        bounds = histogram.lowest_equivalent(max(low, 0)), histogram.highest_equivalent(high)
        expected = sum(bounds[0] <= value <= bounds[1] for value in row)
    assert histogram.count_between(low, high) == expected
    if row:
        below = 0 if high < 0 else sum(value <= histogram.highest_equivalent(high) for value in row)
        assert histogram.percentile_at_value(high) == pytest.approx(100 * below / len(row))


@untimed
@given(st.lists(any_value, max_size=60), digits)
def test_pickle_and_copies_are_equal_and_independent(row: list[int], significant_digits: int) -> None:
    histogram = filled(row, significant_digits=significant_digits)
    before = facts(histogram)
    for twin in (
        pickle.loads(pickle.dumps(histogram)),
        copy.copy(histogram),
        copy.deepcopy(histogram),
        histogram.copy(),
    ):
        assert twin == histogram
        assert facts(twin) == before
        twin.record(12_345)
        assert twin != histogram
    assert facts(histogram) == before


@untimed
@given(st.lists(any_value, max_size=40))
def test_record_many_equals_record(row: list[int]) -> None:
    single = HdrHistogram(1000, HOUR_NS, 3)
    n_recorded = sum([single.record(value) for value in row])
    many = HdrHistogram(1000, HOUR_NS, 3)
    assert many.record_many(np.array(row, dtype=np.int64)) == n_recorded
    assert facts(many) == facts(single)


# --- equality, pickles of this release, views, threads ---


def test_equality_needs_the_same_range_digits_counts_and_losses() -> None:
    base = filled([5_000_000])
    assert base == filled([5_000_001])  # one bucket
    assert base != filled([6_000_000])
    assert base != filled([5_000_000, -1])
    assert base != filled([5_000_000], significant_digits=4)
    assert HdrHistogram(1, 1000, 2) != HdrHistogram(1, 1001, 2)
    assert base != "a histogram"
    with pytest.raises(TypeError, match="unhashable"):
        hash(base)


def test_a_pickle_of_version_0_1_still_loads() -> None:
    saved = (
        b"\x80\x02ctokenclock\nHdrHistogram\n)\x81(K\x01K\nM\xe8\x03K\x02C ",
        b"\x00" * 8 + b"\x01" + b"\x00" * 7 + b"\x3e" + b"\x00" * 7 + b"\x02" + b"\x00" * 7,
        b"K\x03M\xf4\x01K\x04tb.",
    )
    # Protocol 2 has no bytes opcode of its own; protocol 3 does.
    histogram = pickle.loads(b"".join(saved).replace(b"\x80\x02", b"\x80\x03", 1))
    expected = HdrHistogram(10, 1000, 2)
    expected.record_many(np.array([3, 500, 500, -1, -2, -3, -4]))
    assert histogram == expected
    assert facts(histogram) == facts(expected)


def test_a_damaged_or_newer_pickle_is_refused() -> None:
    state = filled([5_000_000]).__getstate__()
    for bad in ((2, *state[1:]), state[:-1]):
        with pytest.raises(ValueError, match="version 1"):
            HdrHistogram.__new__(HdrHistogram).__setstate__(bad)
    with pytest.raises(ValueError, match="bucket index"):
        HdrHistogram.__new__(HdrHistogram).__setstate__((*state[:4], b"\xff" * 16, *state[5:]))
    with pytest.raises(ValueError, match="16 bytes"):
        HdrHistogram.__new__(HdrHistogram).__setstate__((*state[:4], state[4] + b"\x00", *state[5:]))


def test_counts_is_a_read_only_view_that_outlives_its_histogram() -> None:
    histogram = HdrHistogram(1, 1000, 1)
    view = histogram.counts
    histogram.record_n(7, 3)
    assert view[7] == 3
    assert view.base is not None
    with pytest.raises(ValueError, match="read-only"):
        view[7] = 4
    del histogram
    assert view[7] == 3


def test_threads_that_share_a_histogram_lose_nothing() -> None:
    values = np.random.default_rng(1).integers(0, 2**42, 200_000)
    shared, part = HdrHistogram(), filled([7_000_000], significant_digits=4)

    def work() -> None:
        for _ in range(5):
            shared.record_many(values)
            shared.merge(part)
            shared.record(1_000_000)
            shared.value_at_percentile(99)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.total_count + shared.n_lost == 20 * (len(values) + 2)
    assert shared.counts.sum() == shared.total_count


@pytest.mark.timing
def test_record_many_leaves_the_gil_to_others() -> None:
    values = np.full(20_000_000, 5_000_000)
    histogram = HdrHistogram()

    def longest_wait_share() -> float:
        """The longest pause of this thread while another one records, as a share of the recording."""
        spans: list[float] = []

        def record() -> None:
            start = time.perf_counter()
            histogram.record_many(values)
            spans.append(time.perf_counter() - start)

        recorder = threading.Thread(target=record)
        recorder.start()
        longest, last = 0.0, time.perf_counter()
        while recorder.is_alive():
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        recorder.join()
        return longest / spans[0]

    # Under a held GIL the pause is the whole recording. The median, as the machine may be busy with other things.
    assert statistics.median(longest_wait_share() for _ in range(5)) < 0.5
    assert histogram.total_count == 5 * len(values)


# --- merging other layouts ---


def test_merge_of_a_wider_range_counts_what_does_not_fit() -> None:
    small = HdrHistogram(1000, 1_000_000, 3)
    wide = filled([500_000, 2_000_000, 3_000_000, -1])
    assert small.merge(wide) == 2
    assert (small.total_count, small.n_lost) == (1, 3)


def test_merge_of_fewer_digits_keeps_minimum_and_maximum() -> None:
    fine = HdrHistogram(1000, HOUR_NS, 5)
    assert fine.merge(filled([12_345_678, 12_345_679, 98_765_432], significant_digits=1)) == 0
    assert (fine.total_count, fine.min, fine.max) == (3, 12_345_678, 98_765_432)


# --- input forms and messages ---
