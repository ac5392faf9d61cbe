from __future__ import annotations

import time

from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime.null import NullRuntime
from tokenclock.runtime.protocol import Runtime

CASE = BenchmarkCase(0, "dec", 2, 4, 3)


def test_it_stamps_every_step_and_says_its_lengths() -> None:
    runtime, steps = NullRuntime(), []
    assert isinstance(runtime, Runtime)
    runtime.prepare(CASE, 0)
    outcome = runtime.run(lambda: steps.append(1))
    assert len(steps) == 3
    assert outcome.osl is not None
    assert outcome.osl.tolist() == [3, 3]
    runtime.release()
    assert runtime.run(lambda: steps.append(1)).osl is None
    assert len(steps) == 3


def test_it_waits_no_less_than_it_is_told() -> None:
    runtime = NullRuntime(busy_ns=2_000_000)
    runtime.prepare(CASE, 0)
    stamps: list[int] = []
    begun_ns = time.perf_counter_ns()
    runtime.run(lambda: stamps.append(time.perf_counter_ns() - begun_ns))
    assert time.perf_counter_ns() - begun_ns >= 2_000_000
    assert [stamp >= 2_000_000 * k // 3 for k, stamp in enumerate(stamps, start=1)] == [True] * 3


def test_an_encoder_has_no_steps() -> None:
    runtime = NullRuntime("enc")
    runtime.prepare(BenchmarkCase(0, "enc", 2, 4), 0)
    assert runtime.run(None).osl is None
    assert not runtime.streams
