from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tokenclock import BenchmarkPlan, IterationOutcome, LoopPlan, Runtime, UserRuntime, run_benchmark
from tokenclock.plan_benchmark import BenchmarkCase

CASE = BenchmarkCase(0, "dec", 2, 4, 3)
QUICK = LoopPlan(warm_up=1, num_runs=3, duration_s=0)


def test_a_call_gets_the_case_or_what_was_prepared() -> None:
    seen: list[object] = []
    plain = UserRuntime(lambda inputs, on_step: seen.append(inputs))
    prepared = UserRuntime(lambda inputs, on_step: seen.append(inputs), prepare=lambda case, seed: (case, seed))
    for runtime in (plain, prepared):
        assert isinstance(runtime, Runtime)
        runtime.prepare(CASE, 7)
        assert runtime.run(None) == IterationOutcome()
        runtime.release()
    assert seen == [CASE, (CASE, 7)]


@pytest.mark.parametrize("returned", [[3, 2], np.array([3, 2]), (3, 2)])
def test_lengths_may_be_returned(returned: object) -> None:
    runtime = UserRuntime(lambda inputs, on_step: returned)
    osl = runtime.run(None).osl
    assert osl is not None
    assert (osl.tolist(), osl.dtype) == ([3, 2], np.int32)


def test_an_outcome_passes_through() -> None:
    outcome = IterationOutcome(setup_ns=5)
    assert UserRuntime(lambda inputs, on_step: outcome).run(None) is outcome


@pytest.mark.timing
def test_what_comes_before_an_iteration_is_timed_apart() -> None:
    seen: list[object] = []

    def before(inputs: object) -> None:
        seen.append(inputs)
        time.sleep(0.03)

    plan = BenchmarkPlan(batch_sizes=(1,), lengths=((6, 5),), loop=QUICK)
    runtime = UserRuntime(lambda inputs, on_step: None, prepare=lambda case, seed: "mine", before=before)
    latencies = run_benchmark(plan, runtime=runtime, say=lambda line: None).cases[0]["latencies"]
    assert seen == ["mine"] * 4  # warm-ups too
    assert latencies["setup"]["min"] >= 30e6
    assert latencies["latency"]["median"] < 15e6
    assert not hasattr(UserRuntime(lambda inputs, on_step: None), "before_iteration")


def test_a_stream_is_an_integer_or_an_object_that_holds_one() -> None:
    class Stream:
        cuda_stream = 77

    assert UserRuntime(lambda i, s: None, cuda_stream=Stream()).cuda_stream == 77
    assert UserRuntime(lambda i, s: None, cuda_stream=5).cuda_stream == 5
    assert UserRuntime(lambda i, s: None).cuda_stream is None


def test_a_users_call_is_timed_with_its_steps() -> None:
    def generate(case: BenchmarkCase, on_step: object) -> list[int]:
        for _ in range(case.output_len or 0):
            on_step()  # type: ignore[operator]
        return [case.output_len or 0] * case.batch_size

    plan = BenchmarkPlan(batch_sizes=(1, 4), lengths=((6, 5),), loop=QUICK)
    result = run_benchmark(plan, runtime=UserRuntime(generate, streams=True, name="mine"), say=lambda line: None)
    assert [case["status"] for case in result.cases] == ["measured", "measured"]
    assert result.model is not None
    assert (result.model["name"], result.model["runtime"]) == ("mine", "user")
    for case in result.cases:
        assert (case["n"], case["n_warm_up"], case["steps_per_iteration"]) == (3, 1, 5)
        assert case["lengths"]["n_iterations_off"] == 0


def test_a_call_that_stamps_nothing_has_a_latency_all_the_same() -> None:
    plan = BenchmarkPlan(batch_sizes=(1,), lengths=((6, 5),), loop=QUICK)
    result = run_benchmark(plan, runtime=UserRuntime(lambda case, on_step: None), say=lambda line: None)
    assert set(result.cases[0]["latencies"]) == {"latency"}
    assert result.cases[0]["lengths"]["tokens_per_iteration"] is None


def test_the_example_runs() -> None:
    example = Path(__file__).parents[2] / "examples" / "own_model.py"
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "batch 1, 60 in, 20 out", "batch 8, 60 in, 20 out"
    ]  # fmt: skip


@pytest.mark.parametrize("returned", [[3], [3, 3, 3], [3, -1], [3, 4.5], 3])
def test_wrong_answers_are_refused_with_what_was_expected(returned: object) -> None:
    runtime = UserRuntime(lambda inputs, on_step: returned)
    runtime.prepare(CASE, 0)
    with pytest.raises(ValueError, match=r"tokens generated per row, whole numbers >= 0, 2 of them, or None, got"):
        runtime.run(None)


def test_lengths_that_change_are_seen_though_the_list_is_the_same_one() -> None:
    answer = [3, 2]
    runtime = UserRuntime(lambda _inputs, _on_step: answer)
    runtime.prepare(CASE, 0)
    first = runtime.run(None)
    assert runtime.run(None) is first  # nothing was made anew within the latency
    answer[1] = 1
    changed = runtime.run(None)
    assert changed.osl is not None
    assert changed.osl.tolist() == [3, 1]
    answer[:] = [3, -1]
    with pytest.raises(ValueError, match="whole numbers"):
        runtime.run(None)
