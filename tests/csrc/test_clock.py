"""The clock seen from Python: it is time.perf_counter_ns()'s, and it states its facts."""

from __future__ import annotations

import time

import pytest

import tokenclock
from tokenclock import _core


def test_now_ns_is_the_clock_of_perf_counter_ns() -> None:
    for _ in range(1000):
        before = time.perf_counter_ns()
        now = tokenclock.now_ns()
        after = time.perf_counter_ns()
        assert before <= now <= after


def test_clock_facts_are_plausible() -> None:
    facts = _core.clock_facts()
    assert set(facts) == {"resolution_ns", "read_cost_ns", "anchor_offset_ns", "anchor_uncertainty_ns"}
    assert isinstance(facts["resolution_ns"], int)
    assert 1 <= facts["resolution_ns"] < 1_000_000
    assert 0.5 < facts["read_cost_ns"] < 100_000


def test_anchor_leads_to_wall_time() -> None:
    facts = _core.clock_facts()
    before = time.time_ns()
    wall = tokenclock.now_ns() + facts["anchor_offset_ns"]
    after = time.time_ns()
    assert before - facts["anchor_uncertainty_ns"] <= wall <= after + facts["anchor_uncertainty_ns"]


def test_a_stepped_clock_steps_nobody_elses() -> None:
    before = _core.clock_facts()["anchor_offset_ns"]
    clock = _core.SteppedClock()
    assert isinstance(clock, _core.ClockSource)
    clock.step(3_600 * 10**9)
    assert _core.clock_facts()["anchor_offset_ns"] == pytest.approx(before, abs=50_000_000)
    with pytest.raises(TypeError):
        _core.ClockSource()


@pytest.mark.parametrize("loop", [_core.bench.clock_read_ns, _core.bench.stamp_clock_read_ns])
def test_timed_loops_refuse_no_reads(loop: object) -> None:
    with pytest.raises(ValueError, match="expected 1 or more reads, got 0"):
        loop(0)  # type: ignore[operator]
