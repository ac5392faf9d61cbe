from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.compare.estimate import estimate
from tokenclock.metrics.blocks import Blocks
from tokenclock.metrics.confidence import LEVEL, metric_intervals, rate_interval
from tokenclock.metrics.probability import rank_bounds, t_quantile

S = 1_000_000_000
BLOCKS = Blocks(0, float(S), 30)


def spread_over(blocks: Blocks, n: int) -> np.ndarray:
    return np.linspace(0, blocks.t_end_ns, n, endpoint=False).astype(np.int64)


def shuffled(n: int, seed: int = 0) -> np.ndarray:
    """1..n in random order: the value is its rank."""
    return np.random.default_rng(seed).permutation(n) + 1.0


def test_independent_samples_have_plain_order_statistics() -> None:
    found = metric_intervals(shuffled(999), np.zeros(999, np.int64), None, (50.0, 99.0))
    bounds = rank_bounds(999, 0.5, LEVEL)
    assert bounds is not None
    median = found.percentiles[50.0]
    assert median.n_effective == 999
    assert (median.low, median.high) == (pytest.approx(1000 * bounds[0]), pytest.approx(1000 * bounds[1]))
    assert 990 < found.percentiles[99.0].high <= 999
    half = t_quantile(0.975, 998) * np.std(np.arange(1000), ddof=1) / np.sqrt(999)
    assert found.mean.low == pytest.approx(500 - half, rel=0.01)
    assert found.mean.high == pytest.approx(500 + half, rel=0.01)


def test_blocks_of_independent_samples_say_about_the_same() -> None:
    n = 3000
    alone = metric_intervals(shuffled(n), np.zeros(n, np.int64), None, (50.0,))
    blocked = metric_intervals(shuffled(n), spread_over(BLOCKS, n), BLOCKS, (50.0,))
    widths = [found.percentiles[50.0].high - found.percentiles[50.0].low for found in (alone, blocked)]
    assert 0.7 * widths[0] < widths[1] < 1.6 * widths[0]


def test_samples_that_repeat_each_other_count_once() -> None:
    """300 independent values, each seen ten times in a row: worth 300, not 3000."""
    values = np.repeat(shuffled(300), 10)
    found = metric_intervals(values, spread_over(BLOCKS, 3000), BLOCKS, (50.0,)).percentiles[50.0]
    assert found.n_effective is not None
    assert 100 < found.n_effective < 600


def test_an_effective_n_is_never_more_than_there_are_samples() -> None:
    # every block holds the same values: nothing differs between them
    values = np.tile(np.arange(100.0), 30)
    found = metric_intervals(values, spread_over(BLOCKS, 3000), BLOCKS, (50.0, 90.0))
    for interval in found.percentiles.values():
        assert interval.n_effective is not None
        assert interval.n_effective <= 3000


@pytest.mark.parametrize(
    ("values", "blocks", "reason"),
    [
        (shuffled(1000), Blocks(0, float(S), 9), "9 windows of 2 median E2EL, needs 10: let it run longer"),
        (shuffled(1000), Blocks(0, 0.0, 0), "0 windows of 2 median E2EL, needs 10: let it run longer"),
        (np.zeros(0), BLOCKS, "no samples"),
        (np.full(5, np.nan), BLOCKS, "no samples"),
        (shuffled(9), None, "9 independent samples, needs 10"),
    ],
)
def test_where_there_is_too_little_there_is_no_interval_but_a_reason(
    values: np.ndarray, blocks: Blocks | None, reason: str
) -> None:
    found = metric_intervals(values, np.zeros(len(values), np.int64), blocks, (50.0, 99.0))
    for interval in (found.mean, *found.percentiles.values()):
        assert (interval.low, interval.high, interval.reason) == (None, None, reason)


def test_a_percentile_that_the_samples_do_not_bound() -> None:
    found = metric_intervals(shuffled(300), np.zeros(300, np.int64), None, (50.0, 99.0, 100.0))
    assert found.percentiles[50.0].low is not None
    assert found.percentiles[99.0].low is None
    assert found.percentiles[99.0].reason == "worth 300 independent samples, needs 368"
    assert found.percentiles[100.0].reason == "an extreme has no interval"


def test_a_tail_out_of_one_stall_has_no_interval() -> None:
    """5000 samples, 100 of them slow, all in one window of time: how often that happens cannot be known from it."""
    values = shuffled(5000) / 1000
    values[2000:2100] += 100
    found = metric_intervals(values, spread_over(BLOCKS, 5000), BLOCKS, (50.0, 99.0))
    assert found.percentiles[50.0].low is not None
    assert found.percentiles[99.0].low is None
    assert found.percentiles[99.0].reason == "samples beyond it came in 1 of 30 windows of time, needs 5"


@given(st.integers(0, 2**32 - 1), st.floats(-1e6, 1e6), st.floats(0.001, 1000))
def test_shifting_and_scaling_the_samples_shifts_and_scales_the_bounds(seed: int, shift: float, scale: float) -> None:
    values, t_ns = shuffled(600, seed), spread_over(BLOCKS, 600)
    plain = metric_intervals(values, t_ns, BLOCKS, (50.0, 90.0))
    moved = metric_intervals(shift + scale * values, t_ns, BLOCKS, (50.0, 90.0))
    pairs = [(plain.mean, moved.mean), *((plain.percentiles[p], moved.percentiles[p]) for p in (50.0, 90.0))]
    for before, after in pairs:
        assert before.low is not None
        assert before.high is not None
        assert after.low == pytest.approx(shift + scale * before.low, rel=1e-6, abs=1e-6 * scale + 1e-6)
        assert after.high == pytest.approx(shift + scale * before.high, rel=1e-6, abs=1e-6 * scale + 1e-6)


def test_the_order_of_samples_within_their_times_does_not_matter() -> None:
    values, t_ns = shuffled(1000), spread_over(BLOCKS, 1000)
    order = np.random.default_rng(5).permutation(1000)
    once, again = (
        metric_intervals(values, t_ns, BLOCKS, (90.0,)),
        metric_intervals(values[order], t_ns[order], BLOCKS, (90.0,)),
    )
    assert once.percentiles == again.percentiles
    assert once.mean.low == pytest.approx(again.mean.low)


def test_a_rate_is_as_sure_as_its_windows_are_alike() -> None:
    even = rate_interval(100.0, np.full(30, 100.0), BLOCKS)
    assert (even.low, even.high) == (pytest.approx(100), pytest.approx(100))
    # windows of 50 and 150 in turn: a standard deviation of 50.9, over sqrt(30), times about two
    work = np.array([50.0 if i % 2 else 150.0 for i in range(30)])
    uneven = rate_interval(100.0, work, BLOCKS)
    assert (uneven.low, uneven.high) == (pytest.approx(81.5, abs=2), pytest.approx(118.5, abs=2))
    assert uneven != rate_interval(100.0, work, BLOCKS, seed=1)
    assert uneven == rate_interval(100.0, work, BLOCKS, seed=0)


def test_a_rate_lies_in_its_interval_though_its_window_cut_through_what_it_counts() -> None:
    found = rate_interval(103.0, np.full(30, 100.0), BLOCKS)
    assert (found.low, found.high) == (pytest.approx(100), 103.0)


def test_a_rate_without_windows_has_no_interval() -> None:
    few = rate_interval(1.0, np.ones(3), Blocks(0, 1.0, 3))
    assert few.reason.startswith("3 windows")
    assert rate_interval(None, np.ones(30), BLOCKS).reason == "no rate"
    assert rate_interval(1.0, np.zeros(30), BLOCKS).reason == "nothing came"


def stalled(seed: int, first: int, n: int, stall_ms: float = 3000.0) -> np.ndarray:
    """6000 gaps of about 8 ms, of which ``n`` from ``first`` on met a stall."""
    gaps = np.random.default_rng(seed).normal(8, 0.1, 6000)
    gaps[first : first + n] = stall_ms
    return gaps


@pytest.mark.parametrize("first", [2040, 1980])  # within a window of 200 gaps, and over the edge of two
def test_a_mean_that_one_stall_rules_has_no_interval(first: int) -> None:
    """What it would be: the bootstrap draws a third of its samples without the stall, whose spread is next to none."""
    found = metric_intervals(stalled(1, first, 40), spread_over(BLOCKS, 6000), BLOCKS, (50.0,))
    assert (found.mean.low, found.mean.high) == (None, None)
    assert found.mean.reason.startswith("one stall rules the windows of time: ")
    assert found.percentiles[50.0].low == pytest.approx(8, abs=0.1)
    compared = estimate(34.0, {"low": found.mean.low, "high": found.mean.high, "reason": found.mean.reason}, 29, "")
    assert compared is not None
    assert not compared.has_interval
    assert compared.reason == found.mean.reason


def test_a_mean_with_many_stalls_has_one() -> None:
    gaps = stalled(1, 0, 0)
    gaps[np.random.default_rng(2).choice(6000, 60, replace=False)] = 200.0
    found = metric_intervals(gaps, spread_over(BLOCKS, 6000), BLOCKS, ()).mean
    assert found.low is not None
    assert 8 < found.low < gaps.mean() < found.high < 13


def test_independent_requests_of_which_one_met_a_stall() -> None:
    values = np.full(15, 50.0) + np.arange(15)
    values[3] = 3000
    found = metric_intervals(values, np.zeros(15, np.int64), None, ()).mean
    assert (found.low, found.high) == (None, None)
    assert found.reason == "one stall rules the requests: 93 % of their variance"


def test_a_rate_that_one_burst_rules_has_no_interval() -> None:
    burst = np.full(30, 0.01) * np.arange(30)
    burst[7] = 500.0
    found = rate_interval(16.7, burst, BLOCKS)
    assert (found.low, found.high) == (None, None)
    assert found.reason == "one stall rules the windows of time: 96 % of their variance"


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 5900),
    st.integers(0, 100),
    st.floats(0, 1e6),
    st.booleans(),
)
def test_no_bound_of_a_latency_or_a_rate_is_below_0(
    seed: int, first: int, n: int, stall_ms: float, alone: bool
) -> None:
    gaps = np.abs(stalled(seed, first, n, stall_ms))
    t_ns = spread_over(BLOCKS, 6000)
    mean = metric_intervals(gaps, t_ns, None if alone else BLOCKS, ()).mean
    rate = rate_interval(gaps.sum() / 30, np.bincount(BLOCKS.of(t_ns), weights=gaps), BLOCKS)
    for found, value in ((mean, gaps.mean()), (rate, gaps.sum() / 30)):
        assert (found.low is None) == (found.high is None) == bool(found.reason)
        if found.low is not None:
            assert found.high is not None
            assert value / 10 < found.low <= value * (1 + 1e-9)
            assert value * (1 - 1e-9) <= found.high <= 10 * value
