"""Due times: absolute, from the seed, with the asked mean and shape."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.errors import UsageError
from tokenclock.plan import LoadPlan, RampUp
from tokenclock.workload.arrivals import asked_rates, due_times_ns, mean_rate
from tokenclock.workload.streams import stream


def test_an_infinite_rate_makes_everything_due_at_once() -> None:
    assert due_times_ns(stream("arrivals", 0), 5, math.inf, 1.0).tolist() == [0] * 5


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gaps_have_the_mean_of_the_rate_and_the_spread_of_the_shape(burstiness: float) -> None:
    gaps_s = np.diff(due_times_ns(stream("arrivals", 3), 200_001, 50.0, burstiness)) / 1e9
    assert gaps_s.mean() == pytest.approx(1 / 50, rel=0.02)
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(burstiness**-0.5, rel=0.03)


def test_poisson_gaps_are_exponential() -> None:
    gaps_s = np.diff(due_times_ns(stream("arrivals", 3), 100_001, 10.0, 1.0)) / 1e9
    assert (gaps_s > 0.1).mean() == pytest.approx(math.exp(-1), abs=0.01)


def test_nothing_is_rescaled_to_the_exact_rate() -> None:
    ends = {int(due_times_ns(stream("arrivals", seed), 101, 10.0, 1.0)[-1]) for seed in range(20)}
    assert len(ends) == 20
    assert min(ends) < 10e9 < max(ends)


@given(n=st.integers(1, 50), rate=st.floats(0.01, 1e6), burstiness=st.floats(0.01, 100), seed=st.integers(0, 2**32))
def test_due_times_start_at_zero_and_never_fall(n: int, rate: float, burstiness: float, seed: int) -> None:
    due_ns = due_times_ns(stream("arrivals", seed), n, rate, burstiness)
    assert due_ns.dtype == np.int64
    assert len(due_ns) == n
    assert due_ns[0] == 0
    assert (np.diff(due_ns) >= 0).all()


def test_a_schedule_of_decades_is_refused() -> None:
    with pytest.raises(UsageError, match="raise the rate or lower --num-prompts"):
        due_times_ns(stream("arrivals", 0), 1000, 1e-8, 1.0)


def test_a_ramp_s_rates_by_hand() -> None:
    linear = LoadPlan(num_prompts=5, ramp_up=RampUp("linear", 2, 10))
    assert np.asarray(asked_rates(linear, 5)).tolist() == [2, 4, 6, 8]
    assert mean_rate(linear, 5) == pytest.approx(4 / (1 / 2 + 1 / 4 + 1 / 6 + 1 / 8))
    assert np.asarray(asked_rates(linear, 3)).tolist() == [2, 6], "a shorter run still goes all the way"
    exponential = LoadPlan(num_prompts=4, ramp_up=RampUp("exponential", 1, 8))
    assert np.asarray(asked_rates(exponential, 4)) == pytest.approx([1, 2, 4])
    assert asked_rates(LoadPlan(request_rate=3), 9) == mean_rate(LoadPlan(request_rate=3), 9) == 3.0


@pytest.mark.parametrize("strategy", ["linear", "exponential"])
def test_a_ramp_s_gaps_shrink_as_its_rate_grows(strategy: str) -> None:
    load = LoadPlan(num_prompts=100_001, ramp_up=RampUp(strategy, 10, 40))
    due_ns = due_times_ns(stream("arrivals", 1), load.num_prompts, asked_rates(load, load.num_prompts), 1.0)
    gaps_s = np.diff(due_ns) / 1e9
    assert due_ns[0] == 0
    assert gaps_s[:5000].mean() == pytest.approx(1 / 10, rel=0.1)
    assert gaps_s[-5000:].mean() == pytest.approx(1 / 40, rel=0.1)
    assert 1 / gaps_s.mean() == pytest.approx(mean_rate(load, load.num_prompts), rel=0.02)


def test_a_ramp_needs_no_second_request() -> None:
    load = LoadPlan(num_prompts=1, ramp_up=RampUp("linear", 1, 2))
    assert due_times_ns(stream("arrivals", 1), 1, asked_rates(load, 1), 1.0).tolist() == [0]
    assert mean_rate(load, 1) == math.inf
