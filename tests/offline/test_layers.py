"""Layer profiles in a whole run: after everything was timed, in files that the result names."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.offline.rows import ThreadWorld, in_ranks

from tokenclock import BenchmarkPlan, LoopPlan, Result, UserRuntime, run_benchmark
from tokenclock.layers import LayerInfo, LayerTime
from tokenclock.offline.layers import profile_cases
from tokenclock.plan_benchmark import BenchmarkCase, BenchmarkOutput

PLAN = BenchmarkPlan(
    batch_sizes=(1, 2, 4), lengths=((8, 4),), loop=LoopPlan(warm_up=1, num_runs=2, duration_s=0),
    output=BenchmarkOutput(dump_profile=True, dump_layer_info=True),
)  # fmt: skip


class Layered(UserRuntime):
    """One layer, whose time in ms is the batch; batch `bad` fails in the phase named."""

    def __init__(self, bad: int = 0, at: str = "run", **options: Any) -> None:
        self.did: list[tuple[str, int]] = []
        self._bad, self._at = bad, at
        super().__init__(lambda case, on_step: self._do("run", case), **options)

    def _do(self, what: str, case: BenchmarkCase) -> None:
        self.did.append((what, case.batch_size))
        if (what, case.batch_size) == (self._at, self._bad):
            raise RuntimeError("boom")

    def profile_layers(self) -> list[LayerTime]:
        self._do("profile", self._inputs)
        return [LayerTime("mlp", "Linear", "context", 1, 1_000_000 * self._inputs.batch_size)]

    def list_layers(self) -> list[LayerInfo]:
        return [LayerInfo("mlp", "Linear", 6)]


def run(runtime: UserRuntime, plan: BenchmarkPlan = PLAN) -> tuple[Result, list[str]]:
    said: list[str] = []
    return run_benchmark(plan, runtime=runtime, say=said.append), said


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_layers_are_timed_after_all_cases_and_their_files_named(tmp_path: Path) -> None:
    runtime = Layered()
    result, said = run(runtime, replace(PLAN, output=replace(PLAN.output, json="out.json")))
    timed = [("run", batch) for batch in (1, 2, 4) for _ in range(3)]
    profiled = [(what, batch) for batch in (1, 2, 4) for what in ("run", "profile")]
    assert runtime.did == timed + profiled
    assert [case["n"] for case in result.cases] == [2, 2, 2]
    for case in result.cases:
        assert case["run"]["layer_profile"] == {"file": "out.layer_profile.csv", "n_layers": 1}
    assert result.model is not None
    assert result.model["layer_info"] == {"file": "out.layer_info.csv", "n_layers": 1}
    assert Result.load(tmp_path / "out.json").cases[2]["run"]["layer_profile"]["n_layers"] == 1
    with open("out.layer_profile.csv", newline="", encoding="utf-8") as file:
        assert [row["time(ms)"] for row in csv.DictReader(file)] == ["1.000000", "2.000000", "4.000000"]
    assert "tokenclock benchmark: layer profile in out.layer_profile.csv" in said


def test_without_a_result_they_go_by_the_name_of_the_csv() -> None:
    run(Layered())
    assert {path.name for path in Path().iterdir()} == {
        "own_None_tp1_cpu.layer_info.csv", "own_None_tp1_cpu.layer_profile.csv"
    }  # fmt: skip


def test_a_case_that_failed_is_not_profiled_and_a_failing_profile_fails_no_case() -> None:
    failed, _ = run(Layered(bad=2, at="run"))
    assert ["layer_profile" in case["run"] for case in failed.cases] == [True, False, True]
    result, said = run(Layered(bad=2, at="profile"))
    assert {case["status"] for case in result.cases} == {"measured"}
    assert ["layer_profile" in case["run"] for case in result.cases] == [True, False, True]
    assert any("batch 2, 8 in, 4 out: no layer profile: RuntimeError: boom" in line for line in said)


def test_a_runtime_without_layers_says_so_once_for_each_flag() -> None:
    result, said = run(UserRuntime(lambda case, on_step: None))
    (profile,) = [line for line in said if "--dump_profile" in line]
    assert "is idle: the runtime user times no single layers (these do: transformers, and trtllm-engine" in profile
    (listed,) = [line for line in said if "--dump_layer_info" in line]
    assert "lists no layers (these do: ctranslate2, transformers" in listed
    assert profile.removeprefix("tokenclock benchmark: ") in result.workload["notes"]
    assert not list(Path().iterdir())


def test_ranks_profile_together_and_an_error_of_one_is_of_all() -> None:
    def work(world: ThreadWorld) -> list[int]:
        runtime = Layered(bad=2 if world.rank else 0, at="profile", ranks="spmd")
        found = profile_cases(PLAN, runtime, world, [0, 1, 2], lambda line: None, lambda: False)
        return [case.batch_size for case, _ in found]

    assert in_ranks(2, work) == [[1, 4], [1, 4]]


def test_a_wish_to_stop_is_heard_between_cases() -> None:
    def work(world: ThreadWorld) -> int:
        runtime, said = Layered(), list[str]()
        stop = lambda: world.rank == 1 and ("profile", 1) in runtime.did  # noqa: E731
        found = profile_cases(PLAN, runtime, world, [0, 1, 2], said.append, stop)
        assert said == ["stopped before all cases were profiled"]
        return len(found)

    assert in_ranks(2, work) == [1, 1]
