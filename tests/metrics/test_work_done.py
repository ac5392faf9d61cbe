from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulate.processes import server_in_step

from tokenclock.metrics.blocks import Blocks
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.run_intervals import whole_run_intervals
from tokenclock.metrics.summary import summarise
from tokenclock.metrics.work_done import work_per_block

FACTS = RunFacts(max_concurrency=16)


def times(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_a_request_counts_in_each_window_by_the_share_of_its_time() -> None:
    blocks = Blocks(100, 10.0, 3)  # 100 to 130
    # 8 tokens from 105 to 125: a quarter, a half, a quarter; 3 at once at 112; 4 from 120 to 140, half of it inside
    work = work_per_block(np.array([8.0, 3.0, 4.0]), times(105, 112, 120), times(125, 112, 140), blocks)
    assert work.tolist() == pytest.approx([2.0, 4.0 + 3.0, 2.0 + 2.0])


def test_waves_of_equal_requests_bring_the_same_wherever_windows_cut_them() -> None:
    starts = np.repeat(np.arange(25, dtype=np.int64) * 37, 16)
    work = work_per_block(np.ones(400), starts, starts + 37, Blocks(0, 25 * 37 / 12, 12))
    assert work.tolist() == pytest.approx([400 / 12] * 12)


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 300), st.integers(0, 50)), min_size=1, max_size=30),
    st.integers(1, 30),
)
def test_nothing_is_lost_and_nothing_is_counted_twice(requests: list[tuple[int, int, int]], n: int) -> None:
    start, lasted, amount = (np.array(column, np.int64) for column in zip(*requests, strict=True))
    work = work_per_block(amount.astype(float), start, start + lasted, Blocks(-1, 1400.0 / n, n))
    assert (work >= -1e-9).all()
    assert work.sum() == pytest.approx(amount.sum())


@pytest.mark.parametrize("n_waves", [24, 25, 31])
def test_rates_of_a_loop_in_step_have_intervals_that_agree_and_have_a_width(n_waves: int) -> None:
    records = server_in_step(np.random.default_rng(n_waves), n_waves, 16, stalls=False)
    rates = whole_run_intervals(records, FACTS, summary := summarise(records, FACTS)).rates
    widths = []
    for name in ("request_throughput", "output_throughput", "total_throughput"):
        value, interval = getattr(summary.rates, name), rates[name]
        assert interval.low < value < interval.high
        widths.append((interval.high - interval.low) / value)
    assert widths == pytest.approx([widths[0]] * 3)  # each answer has as many tokens: the rates are one number
    assert 0.001 < widths[0] < 0.02  # steps with a noise of 2 %, 37 of them a wave
