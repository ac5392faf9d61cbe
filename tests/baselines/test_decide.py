"""Verdicts worked out by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.baselines.decide import IMPROVEMENT, NO_BASELINE, NO_DIFFERENCE, REGRESSION, TOO_NOISY, decide
from tokenclock.baselines.noise import median_variance
from tokenclock.baselines.thresholds import TEST_METRICS, Threshold, shared_alpha, threshold_of
from tokenclock.metrics.probability import t_quantile

TPOT = Threshold("lower", 0.05, 0.1)
RATE = Threshold("higher", 0.05, 0.1)


@dataclass(frozen=True)
class Run:
    value: float


@dataclass(frozen=True)
class Pin:
    values: tuple[float, ...]
    accepted: datetime = datetime(2026, 11, 1, tzinfo=timezone.utc)
    reason: str = "larger batches"
    run_ids: tuple[int, ...] = ()


def runs(*values: float) -> list[Run]:
    return [Run(value) for value in values]


QUIET = runs(10.0, 10.05, 9.95, 10.02, 9.98)
NOISY = runs(10.0, 12.0, 8.5, 11.5, 9.0)


@pytest.mark.parametrize(
    ("value", "threshold", "verdict"),
    [
        (11.0, TPOT, REGRESSION),
        (9.0, TPOT, IMPROVEMENT),
        (10.1, TPOT, NO_DIFFERENCE),
        (10.0, TPOT, NO_DIFFERENCE),
        (11.0, RATE, IMPROVEMENT),
        (9.0, RATE, REGRESSION),
    ],
)
def test_by_a_quiet_history(value, threshold, verdict) -> None:
    found = decide("m", [value], QUIET, threshold)
    assert found.verdict == verdict
    assert (found.value, found.baseline, found.n_history) == (value, 10.0, 5)
    assert found.ratio == pytest.approx(value / 10)


def test_a_change_that_is_sure_but_small_is_not_called() -> None:
    """+3 % where runs differ by 0.4 %: shown, and less than 5 %."""
    found = decide("m", [10.3], QUIET, TPOT)
    assert found.low > 1
    assert found.verdict == NO_DIFFERENCE
    assert found.reason == "a difference, but too small to count: +3.0% is below 5.0%"
    within = decide("m", [10.02], QUIET, TPOT)
    assert within.reason == "+0.2%, less than the 5.0% that count"


def test_both_parts_must_be_exceeded() -> None:
    """+8 % of 1 ms are 0.08 ms, less than 0.1 ms; of 10 ms they are more."""
    small = [Run(run.value / 10) for run in QUIET]
    assert decide("m", [1.08], small, TPOT).verdict == NO_DIFFERENCE
    assert decide("m", [10.8], QUIET, TPOT).verdict == REGRESSION


def test_a_large_change_within_the_noise_is_not_called() -> None:
    found = decide("m", [11.5], NOISY, TPOT)
    assert found.verdict == TOO_NOISY
    assert found.smallest_seen > 0.2
    assert found.low < 1 < found.high


def test_the_interval_is_that_of_student() -> None:
    logs = [math.log(run.value) for run in QUIET]
    mean = sum(logs) / 5
    sigma = math.sqrt(sum((one - mean) ** 2 for one in logs) / 4)
    reach = t_quantile(0.975, 4) * sigma * math.sqrt(1 + median_variance(5))
    found = decide("m", [10.2], QUIET, TPOT)
    assert found.low == pytest.approx(1.02 * math.exp(-reach))
    assert found.high == pytest.approx(1.02 * math.exp(reach))
    seen = math.log(1.05) + t_quantile(0.8, 4) * sigma * math.sqrt(1 + median_variance(5))
    assert found.smallest_seen == pytest.approx(math.expm1(seen))


@pytest.mark.parametrize(
    ("fresh", "history"),
    [
        ([], QUIET),
        ([math.nan], QUIET),
        ([10.0], runs()),
        ([10.0], runs(10, 10)),
        ([0.0], QUIET),
        ([10.0], runs(0, 0, 0)),
    ],
)
def test_what_cannot_be_judged(fresh, history) -> None:
    found = decide("m", fresh, history, TPOT, max_repeats=5)
    assert (found.verdict, found.ratio, found.more_repeats) == (NO_BASELINE, None, 0)
    assert found.reason


def test_an_outlier_in_the_history_moves_neither_baseline_nor_noise() -> None:
    history = runs(10.0, 10.05, 9.95, 10.02, 9.98, 10.01, 14.0, 9.99)
    assert decide("m", [11.0], history, TPOT).verdict == REGRESSION


def test_repeats_are_asked_for_as_many_as_are_needed() -> None:
    history = runs(10.0, 10.6, 9.5, 10.4, 9.6, 10.2, 9.9, 10.5, 9.7, 10.1)
    first = decide("m", [10.1], history, TPOT, max_repeats=8)
    assert first.verdict == TOO_NOISY
    assert first.more_repeats == first.repeats_needed - 1 > 0
    after = decide("m", [10.1, 10.6, 9.6, 9.9, 10.3, 9.7][: first.repeats_needed], history, TPOT, max_repeats=8)
    assert after.smallest_seen < first.smallest_seen
    assert decide("m", [10.1], history, TPOT, max_repeats=1).more_repeats == 0
    needed = f"{first.repeats_needed} repeats would show one of 10.0% if they differ as much as sessions do"
    assert first.reason.endswith(needed)
    assert decide("m", [10.1], history, TPOT).reason.endswith(f"{needed} (1 is allowed)")


def test_repeats_that_share_a_mood_do_not_make_the_answer_surer() -> None:
    """Sessions differ by 4 %, repeats of one by 0.1 %: a hundred of them say no more than one."""
    history = runs(10.0, 10.6, 9.5, 10.4, 9.6, 10.2, 9.9, 10.5, 9.7, 10.1)
    one = decide("m", [10.7], history, TPOT, max_repeats=8)
    four = decide("m", [10.7, 10.71, 10.7, 10.69], history, TPOT, max_repeats=8)
    assert four.smallest_seen == pytest.approx(one.smallest_seen, rel=0.01)
    assert (four.more_repeats, four.repeats_needed) == (0, None)
    assert "repeats alone do not help" in four.reason


def test_a_regression_is_confirmed_by_repeats() -> None:
    first = decide("m", [13.0], QUIET, TPOT, max_repeats=5)
    assert (first.verdict, first.more_repeats) == (REGRESSION, 2)
    assert decide("m", [13.0, 10.0, 10.02], QUIET, TPOT, max_repeats=5).verdict == NO_DIFFERENCE
    assert decide("m", [13.0, 13.1, 12.9], QUIET, TPOT, max_repeats=5).verdict == REGRESSION
    assert decide("m", [13.0], QUIET, TPOT, max_repeats=1).more_repeats == 0


def test_a_pin_holds_whatever_came_after_it() -> None:
    pin = Pin((10.0, 10.05, 9.95))
    after = runs(12.0, 12.05, 11.95, 12.02, 11.98, 12.01)
    found = decide("m", [12.0], pin, TPOT, since=after)
    assert (found.verdict, found.baseline, found.n_history) == (REGRESSION, 10.0, 3)
    assert "pinned 2026-11-01 (larger batches)" in found.reason
    assert found.smallest_seen < decide("m", [12.0], pin, TPOT).smallest_seen


@given(
    st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=6),
    st.lists(st.floats(-1e3, 1e9), max_size=25),
    st.sampled_from([TPOT, RATE]),
    st.integers(1, 8),
)
def test_any_numbers_get_a_verdict_that_agrees_with_them(fresh, history, threshold, max_repeats) -> None:
    found = decide("m", fresh, runs(*history), threshold, max_repeats=max_repeats)
    assert 0 <= found.more_repeats <= max(0, max_repeats - len(fresh))
    if found.verdict in (REGRESSION, IMPROVEMENT):
        assert abs(found.ratio - 1) >= threshold.least(found.baseline)
        assert not found.low <= 1 <= found.high
        assert (found.verdict == REGRESSION) == ((found.ratio > 1) == (threshold.better == "lower"))
    if found.verdict != NO_BASELINE:
        assert found.low <= found.ratio <= found.high
        assert found.smallest_seen > 0


@pytest.mark.parametrize("metric", [*TEST_METRICS, "ttft.mean", "tpot.p99", "output_throughput", "INFERENCE_TIME[8,2]"])
def test_known_metrics_have_a_threshold(metric) -> None:
    found = threshold_of(metric)
    assert found is not None
    assert (found.better == "higher") == ("THROUGHPUT" in metric.upper() or metric == "KV_CACHE_SIZE")


def test_thresholds_by_hand() -> None:
    assert threshold_of("tpot.mean") == Threshold("lower", 0.05, 100_000)
    assert threshold_of("tpot.p99") == Threshold("lower", 0.10, 100_000)
    assert threshold_of("OUTPUT_TOKEN_TIME") == Threshold("lower", 0.05, 0.1)
    assert threshold_of("a.b") is None


def test_metrics_of_a_case_share_the_false_alarms() -> None:
    assert shared_alpha(["INFERENCE_TIME"], 0.05) == 0.05
    bench = ["INFERENCE_TIME", "TOKEN_THROUGHPUT", "SEQ_THROUGHPUT", "FIRST_TOKEN_TIME", "OUTPUT_TOKEN_TIME"]
    assert shared_alpha(bench, 0.05) == pytest.approx(0.075 / 4)
    assert shared_alpha(["TOKEN_THROUGHPUT[a]", "SEQ_THROUGHPUT[a]", "SEQ_THROUGHPUT[b]"], 0.05) == pytest.approx(
        0.0375
    )


@pytest.mark.parametrize("parts", [("less", 0.1, 1), ("lower", -0.1, 1), ("lower", 0.1, math.nan)])
def test_thresholds_are_checked(parts) -> None:
    with pytest.raises(ValueError, match="must be"):
        Threshold(*parts)


def test_the_absolute_part_is_named_where_it_rules() -> None:
    """1 ms of 0.85 ms are 117.6 %."""
    threshold = threshold_of("INFERENCE_TIME")
    assert threshold is not None
    history = runs(0.85, 0.851, 0.849, 0.85, 0.85)
    found = decide("INFERENCE_TIME", [1.43], history, threshold)
    assert found.verdict == NO_DIFFERENCE
    expected = "a difference, but too small to count: +68.2% is below the 117.6% that 1 ms is of the baseline"
    assert found.reason == expected
    assert (
        decide("INFERENCE_TIME", [0.85], history, threshold).reason == "+0.0%, less than the 117.6% that count (1 ms)"
    )
    in_ns = threshold_of("e2el.mean")
    assert in_ns is not None
    found = decide("e2el.mean", [1.43e6], runs(*(run.value * 1e6 for run in history)), in_ns)
    assert found.reason == expected


def test_a_change_and_a_threshold_that_round_alike_are_told_apart() -> None:
    found = decide("m", [9.501], runs(10.0, 10.005, 9.995, 10.0, 10.0), TPOT)
    assert found.reason == "a difference, but too small to count: -4.99% is below 5.00%"
