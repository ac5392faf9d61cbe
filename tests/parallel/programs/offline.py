"""An offline benchmark of a runtime that works for 2 ms and, where it is told to, fails on the last rank.

offline.py HOW FILE: HOW is `well`, `slow`, `raise`, `kill`, `exit`, `stuck` or `unequal`; FILE is where the JSON goes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace

from tokenclock.__main__ import main
from tokenclock.cli import benchmark
from tokenclock.offline.run import run_benchmark
from tokenclock.parallel import World, connect
from tokenclock.plan_benchmark import BenchmarkCase, BenchmarkOutput, BenchmarkPlan, LoopPlan
from tokenclock.runtime.null import NullRuntime
from tokenclock.runtime.protocol import IterationOutcome, OnStep, Ranks

HOW, FILE = sys.argv[1:]


class Lockstep(NullRuntime):
    """Ranks that take every step together, as far as the loop knows."""

    ranks: Ranks = "spmd"

    def __init__(self, world: World) -> None:
        super().__init__(busy_ns=2_000_000)
        self._last, self._n = world.rank == world.size - 1, 0

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        super().prepare(case, seed)
        self._n = 0
        self._batch_size = case.batch_size

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        self._n += 1
        if self._n == 5 and self._batch_size == 8:
            self.fail()
        if HOW == "slow" and self._last:
            time.sleep(0.002)
        return super().run(on_step)

    def fail(self) -> None:
        if HOW == "stuck" and not self._last:
            time.sleep(600)  # in a collective that the last rank never enters
        if not self._last:
            return
        if HOW in ("raise", "stuck"):
            raise MemoryError("CUDA out of memory")
        if HOW == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if HOW == "exit":
            sys.exit(0)


def run(argv: list[str]) -> int:
    world = connect()
    n_runs = 10 + (world.rank if HOW == "unequal" else 0)
    plan = BenchmarkPlan(
        family="dec",
        batch_sizes=(1, 8, 16),
        lengths=((16, 4),),
        loop=LoopPlan(num_runs=n_runs, duration_s=0.0),
        output=replace(BenchmarkOutput(), json=FILE),
    )
    result = run_benchmark(plan, runtime=Lockstep(world), ends_process=True)
    return benchmark.exit_code(result.cases, incomplete=result.incomplete)


benchmark.main = run  # type: ignore[assignment]
sys.exit(main(["benchmark"]))
