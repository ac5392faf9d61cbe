"""What timing offline costs: an empty iteration, a stamp of a step, and the callbacks of CTranslate2 for streaming."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

from tokenclock.iteration_records import TIMED
from tokenclock.offline.iterations import Iterations
from tokenclock.offline.overhead import measure_overhead
from tokenclock.parallel import OneProcess
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import ctranslate2
from tokenclock.runtime.null import NullRuntime
from tokenclock.runtime.options import RuntimeOptions

N_STEPS = 20
N_ROUNDS = 15


def empty_iterations(*, stamps_steps: bool, n: int = 1000) -> Callable[[], None]:
    case = BenchmarkCase(0, "dec", 1, 1, N_STEPS)
    runtime = NullRuntime()
    runtime.prepare(case, 0)

    def run() -> None:
        iterations = Iterations(case, 0, 0, stamps_steps=stamps_steps)
        for _ in range(n):
            iterations.time(runtime, TIMED)

    return run


@pytest.mark.parametrize("stamps_steps", [False, True], ids=["plain", "20 steps"])
def test_1000_empty_iterations(benchmark: Any, stamps_steps: bool) -> None:
    benchmark.pedantic(empty_iterations(stamps_steps=stamps_steps), rounds=N_ROUNDS, warmup_rounds=1)


def test_overhead(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The loop's own figures, as every result carries them."""
    found = [measure_overhead() for _ in range(N_ROUNDS)]
    names = [field.name for field in dataclasses.fields(found[0])]
    median = {name: statistics.median(getattr(one, name) for one in found) for name in names}
    benchmark.extra_info.update(median)
    benchmark.pedantic(measure_overhead, rounds=1)
    with capsys.disabled():
        print(
            f"\nempty iteration: {median['per_iteration_ns']:.0f} ns in its latency, {median['between_ns']:.0f} ns "
            f"between two; stamp of a step: {median['per_step_ns']:.0f} ns, {median['per_step_ns'] / 1e6:.4%} of a "
            "step of 1 ms (aim: under 1 %)"
        )


@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_streaming_of_ctranslate2(benchmark: Any, capsys: pytest.CaptureFixture[str], batch_size: int) -> None:
    """Latency with and without step stamps, in turn: its callback is called for every row of every step."""
    runtime = ctranslate2.load("tiny:llama", "dec", RuntimeOptions(device="cpu", threads=1), OneProcess())
    runtime.prepare(BenchmarkCase(0, "dec", batch_size, 16, N_STEPS), 0)
    stamped: list[int] = []

    def timed(streaming: bool) -> int:
        begun_ns = time.perf_counter_ns()
        runtime.run((lambda: stamped.append(0)) if streaming else None)
        return time.perf_counter_ns() - begun_ns

    rounds = [(timed(True), timed(False)) for _ in range(2 * N_ROUNDS)]
    with_ns, without_ns = (min(column) for column in zip(*rounds, strict=True))  # the least disturbed of each
    per_step_ns = (with_ns - without_ns) / N_STEPS
    benchmark.extra_info.update(with_ns=with_ns, without_ns=without_ns, per_step_ns=per_step_ns)
    benchmark.pedantic(runtime.run, args=(None,), rounds=1)
    assert len(stamped) == 2 * N_ROUNDS * N_STEPS
    with capsys.disabled():
        print(
            f"\nctranslate2, batch {batch_size}: {with_ns / 1e3:.0f} us with step stamps, {without_ns / 1e3:.0f} us "
            f"without: {per_step_ns / 1e3:.1f} us per step, {per_step_ns / 1e6:.2%} of a step of 1 ms"
        )
    runtime.close()
