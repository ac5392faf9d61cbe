"""One case: prepare, warm up, repeat until both minimums are met, release. Rank 0 decides when it is enough."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

from tokenclock import units
from tokenclock._core import now_ns
from tokenclock.iteration_records import TIMED, WARM_UP
from tokenclock.offline.agreement import Turn, agree, failed_turn, together
from tokenclock.offline.iterations import Iterations
from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase, LoopPlan
from tokenclock.runtime.protocol import Runtime

__all__ = ["CaseRun", "run_case", "set_up"]


@dataclass
class CaseRun:
    """What is known of a case while it runs, and after it failed.

    Args:
        case: the case.
        iterations: its rows so far.
        phase: the phase it is in: ``prepare``, ``warm_up``, ``timed``, ``release``, ``done``.
        prepare_ns: what `prepare` took.
        ended_by: ``minimums``, ``max_duration`` or ``interrupt``.
        last_ns: latency of the last iteration.
    """

    case: BenchmarkCase
    iterations: Iterations
    phase: str = "prepare"
    prepare_ns: int | None = None
    ended_by: str | None = None
    last_ns: int | None = None


def run_case(
    run: CaseRun,
    runtime: Runtime,
    loop: LoopPlan,
    seed: int,
    world: World,
    *,
    stop_requested: Callable[[], bool],
    between: Callable[[CaseRun], None],
) -> None:
    """Fill `run` with the rows of its case; called by all ranks together.

    Args:
        run: new.
        runtime: loaded; `release` is left to the caller, whatever happens.
        loop: the minimums and the limit.
        seed: of the inputs.
        world: the ranks.
        stop_requested: whether this rank was told to stop.
        between: called after every iteration, outside of what is timed.

    Raises:
        CaseFailed, CaseRefused: on every rank, when any of them could not go on; the rows so far are in `run`.
    """
    lockstep = runtime.ranks == "spmd"
    begun_ns = now_ns()
    with together(world, lockstep=lockstep):
        runtime.prepare(run.case, seed)
    run.prepare_ns = now_ns() - begun_ns
    gc.collect()
    world.barrier()

    def iterate(phase: int, goes_on: Callable[[], bool]) -> Turn:
        """One iteration, and what the ranks agree on after it."""
        setup_ns = set_up(runtime, world, lockstep=lockstep)
        try:
            run.last_ns = run.iterations.time(runtime, phase, setup_ns)
            turn = Turn(goes_on(), stop_requested())
        except (Exception, SystemExit) as error:
            turn = failed_turn(error)
        between(run)
        return agree(world, turn, lockstep=lockstep)

    run.phase = "warm_up"
    for _ in range(loop.warm_up):
        if iterate(WARM_UP, lambda: True).stop:
            run.ended_by = "interrupt"
            return
    run.phase = "timed"
    world.barrier()
    n_before, begun_ns = len(run.iterations), now_ns()
    shortest_ns, longest_ns = units.s_to_ns(loop.duration_s), units.s_to_ns(loop.max_duration_s)

    def is_short() -> bool:
        elapsed_ns = now_ns() - begun_ns
        if longest_ns and elapsed_ns >= longest_ns:
            run.ended_by = "max_duration"
            return False
        return len(run.iterations) - n_before < loop.num_runs or elapsed_ns < shortest_ns

    turn = Turn()
    while turn.goes_on and not turn.stop:
        turn = iterate(TIMED, is_short)
    if turn.stop:
        run.ended_by = "interrupt"
    elif run.ended_by is None:
        run.ended_by = "minimums"
    run.phase = "done"


def set_up(runtime: Runtime, world: World, *, lockstep: bool) -> int | None:
    """Do what the runtime wants done before each iteration; returns its time in ns, None where it wants nothing.

    Every rank is ready when it returns: none times its wait for another's buffers.

    Raises:
        CaseFailed, CaseRefused: on every rank, when any of them could not.
    """
    before = getattr(runtime, "before_iteration", None)
    if before is None:
        return None
    begun_ns = now_ns()
    took_ns = 0
    with together(world, lockstep=lockstep):
        before()
        took_ns = now_ns() - begun_ns
    return took_ns  # noqa: RET504  # not in the block: leaving it is where the ranks meet
