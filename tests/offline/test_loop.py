from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from tests.offline.rows import ThreadWorld, in_ranks

from tokenclock import LoopPlan, UserRuntime
from tokenclock.iteration_records import TIMED, WARM_UP
from tokenclock.offline.agreement import CaseFailed, CaseRefused
from tokenclock.offline.iterations import Iterations
from tokenclock.offline.loop import CaseRun, run_case
from tokenclock.parallel import OneProcess
from tokenclock.plan_benchmark import BenchmarkCase

CASE = BenchmarkCase(0, "dec", 1, 4, 2)


def a_run(rank: int = 0) -> CaseRun:
    return CaseRun(CASE, Iterations(CASE, rank, 0, stamps_steps=False))


def run(runtime: UserRuntime, loop: LoopPlan, world: Any = None, **options: Any) -> CaseRun:
    world = world or OneProcess()
    found = options.pop("found", None) or a_run(world.rank)
    given = {"stop_requested": lambda: False, "between": lambda run: None, **options}
    run_case(found, runtime, loop, 0, world, **given)
    return found


def phases(run: CaseRun) -> list[int]:
    return list(run.iterations.records().columns["phase"].tolist())


def test_the_number_of_runs_is_a_minimum() -> None:
    found = run(UserRuntime(lambda i, s: None), LoopPlan(warm_up=2, num_runs=3, duration_s=0))
    assert phases(found) == [WARM_UP] * 2 + [TIMED] * 3
    assert (found.phase, found.ended_by) == ("done", "minimums")
    assert found.prepare_ns is not None


def test_the_duration_is_a_minimum_too_and_overshoots_by_one_iteration_at_most() -> None:
    found = run(UserRuntime(lambda i, s: time.sleep(0.02)), LoopPlan(warm_up=0, num_runs=1, duration_s=0.1))
    rows = found.iterations.records()
    t_start_ns = rows.columns["t_start_ns"]
    assert t_start_ns[-1] - t_start_ns[0] < 100_000_000  # the last one began before the time was up
    assert rows.columns["t_done_ns"][-1] - t_start_ns[0] >= 99_000_000


def test_the_longest_duration_ends_a_case_whatever_the_minimums_say() -> None:
    found = run(
        UserRuntime(lambda i, s: time.sleep(0.01)),
        LoopPlan(warm_up=0, num_runs=1000, duration_s=0.02, max_duration_s=0.05),
    )
    assert found.ended_by == "max_duration"
    assert 1 <= len(found.iterations) <= 6


def test_the_longest_duration_may_be_below_the_shortest() -> None:
    loop = LoopPlan(warm_up=0, num_runs=1, duration_s=60, max_duration_s=0.03)
    found = run(UserRuntime(lambda i, s: time.sleep(0.01)), loop)
    assert found.ended_by == "max_duration"
    assert 1 <= len(found.iterations) <= 4


def test_a_wish_to_stop_is_heard_after_the_iteration() -> None:
    told = iter([False, False, True, False])
    found = run(UserRuntime(lambda i, s: None), LoopPlan(warm_up=1, duration_s=0), stop_requested=lambda: next(told))
    assert (found.ended_by, phases(found)) == ("interrupt", [WARM_UP, TIMED, TIMED])


def test_a_wish_to_stop_in_the_warm_up() -> None:
    found = run(UserRuntime(lambda i, s: None), LoopPlan(warm_up=5, duration_s=0), stop_requested=lambda: True)
    assert (found.ended_by, found.phase, len(found.iterations)) == ("interrupt", "warm_up", 1)


@pytest.mark.parametrize(("fails_at", "phase"), [(0, "warm_up"), (2, "timed"), (6, "timed")])
def test_an_error_ends_the_case_and_keeps_its_rows(fails_at: int, phase: str) -> None:
    calls = iter(range(100))

    def call(_: object, on_step: object) -> None:
        if next(calls) == fails_at:
            raise MemoryError

    found = a_run()
    with pytest.raises(CaseFailed, match="out of memory"):
        run(UserRuntime(call), LoopPlan(warm_up=2, duration_s=0), found=found)
    assert (found.phase, len(found.iterations)) == (phase, fails_at)


def test_an_error_in_prepare() -> None:
    def prepare(case: object, seed: int) -> None:
        raise ValueError("no room")

    found = a_run()
    with pytest.raises(CaseFailed, match="ValueError: no room"):
        run(UserRuntime(lambda i, s: None, prepare=prepare), LoopPlan(duration_s=0), found=found)
    assert found.phase == "prepare"


def test_a_refusal_in_prepare() -> None:
    from tokenclock.errors import UsageError

    def prepare(case: object, seed: int) -> None:
        raise UsageError("no beams")

    with pytest.raises(CaseRefused, match="no beams"):
        run(UserRuntime(lambda i, s: None, prepare=prepare), LoopPlan(duration_s=0))


def test_setting_up_fails_the_case_on_every_rank() -> None:
    def work(world: ThreadWorld) -> None:
        def before(_: object) -> None:
            if world.rank == 1:
                raise MemoryError

        run(UserRuntime(lambda i, s: None, before=before, ranks="spmd"), LoopPlan(duration_s=0), world)

    assert [str(error) for error in in_ranks(2, work)] == ["rank 1: out of memory"] * 2


@pytest.mark.timing
def test_no_rank_times_its_wait_for_anothers_buffers() -> None:
    """Rank 1 takes 50 ms to set up; the work of both begins together, so rank 0 must not see that in its latency."""

    together = threading.Barrier(2)

    def work(world: ThreadWorld) -> float:
        def before(_: object) -> None:
            time.sleep(0.05 * world.rank)

        runtime = UserRuntime(lambda i, s: (together.wait(), None)[1], before=before, ranks="spmd")
        rows = run(runtime, LoopPlan(warm_up=0, num_runs=3, duration_s=0), world).iterations.records()
        return float(sorted(rows.latency_ns)[1])

    assert max(in_ranks(2, work)) < 25e6


def test_ranks_do_as_many_iterations_as_rank_0_says() -> None:
    """Rank 1 is slower: by its own clock it would do fewer."""

    def work(world: ThreadWorld) -> int:
        pause_s = 0.001 if world.rank == 0 else 0.01
        runtime = UserRuntime(lambda i, s: time.sleep(pause_s))
        return len(run(runtime, LoopPlan(warm_up=1, num_runs=3, duration_s=0.15), world).iterations)

    first, second = in_ranks(2, work)
    assert first == second > 3


def test_a_rank_that_fails_ends_the_case_for_all() -> None:
    def work(world: ThreadWorld) -> None:
        def call(_: object, on_step: object) -> None:
            if world.rank == 1:
                raise RuntimeError("boom")

        run(UserRuntime(call), LoopPlan(duration_s=0), world)

    assert [str(error) for error in in_ranks(2, work)] == ["rank 1: RuntimeError: boom"] * 2
