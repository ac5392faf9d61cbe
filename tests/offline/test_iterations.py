from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokenclock import UserRuntime, now_ns
from tokenclock.iteration_records import TIMED, WARM_UP
from tokenclock.offline.device_time import DeviceTimer
from tokenclock.offline.iterations import Iterations
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.records import MISSING_NS
from tokenclock.runtime.protocol import IterationOutcome

CASE = BenchmarkCase(3, "dec", 2, 8, 4)


def steps(n: int, **outcome: Any) -> UserRuntime:
    def call(_: object, on_step: Any) -> IterationOutcome:
        for _step in range(n if on_step is not None else 0):
            on_step()
        return IterationOutcome(**outcome)

    return UserRuntime(call, streams=True)


def test_a_row_for_each_iteration_with_its_steps_inside() -> None:
    begun_ns = now_ns()
    iterations = Iterations(CASE, 5, begun_ns, stamps_steps=True)
    runtime = steps(4, osl=np.array([4, 3], np.int32), setup_ns=7, ran_together=True, details={"a": 1})
    latencies = [iterations.time(runtime, phase) for phase in (WARM_UP, TIMED, TIMED)]
    rows = iterations.records()
    columns = rows.columns
    assert rows.latency_ns.tolist() == latencies
    assert columns["phase"].tolist() == [WARM_UP, TIMED, TIMED]
    assert columns["iteration"].tolist() == [0, 1, 2]
    assert {columns[name][0].item() for name in ("case",)} == {3}
    assert (columns["rank"] == 5).all()
    assert (columns["osl_min"][0], columns["osl_max"][0], columns["n_tokens"][0]) == (3, 4, 7)
    assert (columns["setup_ns"] == 7).all()
    assert (columns["ran_together"] == 1).all()
    assert (columns["device_ns"] == MISSING_NS).all()
    assert rows.n_steps.tolist() == [4, 4, 4]
    for row in range(3):
        stamps = rows.t_step_ns[rows.step_offsets[row] : rows.step_offsets[row + 1]]
        assert columns["t_start_ns"][row] <= stamps[0]
        assert (np.diff(stamps) >= 0).all()
        assert stamps[-1] <= columns["t_done_ns"][row]
    assert (rows.device_step_ns == MISSING_NS).all()
    assert iterations.details == {"a": 1}


def test_rows_from_the_middle_on() -> None:
    iterations = Iterations(CASE, 0, 0, stamps_steps=True)
    for _ in range(5):
        iterations.time(steps(2), TIMED)
    rows = iterations.records(3)
    assert rows.columns["iteration"].tolist() == [3, 4]
    assert rows.n_steps.tolist() == [2, 2]
    assert len(iterations.records(5)) == 0
    iterations.time(steps(2), TIMED)  # what was handed out does not keep the columns from growing
    assert len(iterations) == 6


def test_recorders_are_renewed() -> None:
    iterations = Iterations(CASE, 0, 0, stamps_steps=True)
    for _ in range(600):
        iterations.time(steps(4), TIMED)
    assert iterations.records().n_steps.tolist() == [4] * 600


def test_more_steps_than_asked_are_seen_up_to_four_times_as_many() -> None:
    iterations = Iterations(CASE, 0, 0, stamps_steps=True)
    iterations.time(steps(16), TIMED)
    assert iterations.records().n_steps.tolist() == [16]
    with pytest.raises(OverflowError):
        iterations.time(steps(1000), TIMED)
    assert len(iterations) == 1


def test_a_phase_that_comes_late_is_absent_before() -> None:
    iterations = Iterations(CASE, 0, 0, stamps_steps=False)
    iterations.time(steps(0), TIMED)
    iterations.time(steps(0, phases_ns={"queue": 5}), TIMED)
    iterations.time(steps(0), TIMED)
    assert iterations.records().phases_ns["queue"].tolist() == [MISSING_NS, 5, MISSING_NS]


def test_what_raises_leaves_no_row() -> None:
    def call(_: object, on_step: object) -> None:
        raise RuntimeError("boom")

    iterations = Iterations(CASE, 0, 0, stamps_steps=True)
    with pytest.raises(RuntimeError):
        iterations.time(UserRuntime(call), TIMED)
    assert len(iterations) == len(iterations.records()) == 0


class Events:
    """A pool whose device is 10 ns older at each event."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {}
        self.now = 0

    def clear(self) -> None:
        self.at.clear()

    def record(self, event: int, stream: int) -> None:
        assert stream == 77
        self.now += 10
        self.at[event] = self.now

    def wait(self, timeout_s: float) -> bool:
        return True

    def between_ns(self, first: int, last: int) -> int:
        return self.at[last] - self.at[first]


def test_device_times_stand_beside_the_hosts() -> None:
    iterations = Iterations(CASE, 0, 0, stamps_steps=True, device=DeviceTimer(Events(), 77, 12))
    iterations.time(steps(4), TIMED)
    iterations.time(steps(0), TIMED)
    rows = iterations.records()
    assert rows.columns["device_ns"].tolist() == [50, 10]
    assert rows.device_step_ns.tolist() == [10, 20, 30, 40]
    assert (rows.latency_ns > 0).all()


def test_a_device_that_does_not_answer_leaves_its_times_out() -> None:
    class Late(Events):
        def wait(self, timeout_s: float) -> bool:
            return False

    iterations = Iterations(CASE, 0, 0, stamps_steps=True, device=DeviceTimer(Late(), 77, 12))
    iterations.time(steps(4), TIMED)
    rows = iterations.records()
    assert rows.columns["device_ns"].tolist() == [MISSING_NS]
    assert rows.device_step_ns.tolist() == [MISSING_NS] * 4
