"""A whole run in this process, on runtimes that do as the test says."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from tokenclock import BenchmarkPlan, LoopPlan, Result, UserRuntime, run_benchmark
from tokenclock.errors import UsageError
from tokenclock.hdr import HdrHistogram
from tokenclock.iteration_log import read as read_log
from tokenclock.metrics.offline_definitions import OFFLINE_DEFINITIONS
from tokenclock.offline.gpu import GpuWatch
from tokenclock.offline.run import options_of
from tokenclock.offline.watcher import Opening, Watcher
from tokenclock.plan_benchmark import BenchmarkCase, BenchmarkOutput, ModelPlan
from tokenclock.report.iteration_columns_file import read as read_columns
from tokenclock.runtime.protocol import Limits, ModelFacts

SCHEMA = json.loads((Path(__file__).parents[1] / "golden" / "result_schema_1_benchmark.json").read_text())
QUICK = LoopPlan(warm_up=1, num_runs=3, duration_s=0)
PLAN = BenchmarkPlan(batch_sizes=(1, 2, 4), lengths=((8, 4),), loop=QUICK)


def obedient(before: Callable[[BenchmarkCase], None] = lambda case: None, **options: Any) -> UserRuntime:
    """Steps and lengths as asked; `before` is called first, and may raise."""

    def call(case: BenchmarkCase, on_step: Any) -> list[int]:
        before(case)
        for _ in range(case.output_len or 0):
            if on_step is not None:
                on_step()
        return [case.output_len or 0] * case.batch_size

    return UserRuntime(call, streams=True, **options)


def run(plan: BenchmarkPlan = PLAN, runtime: UserRuntime | None = None, **options: Any) -> Result:
    return run_benchmark(plan, runtime=runtime or obedient(), say=options.pop("say", lambda line: None), **options)


def fails(batch_size: int, error: BaseException) -> Callable[[BenchmarkCase], None]:
    def before(case: BenchmarkCase) -> None:
        if case.batch_size == batch_size:
            raise error

    return before


def statuses(result: Result) -> list[str]:
    return [case["status"] for case in result.cases]


def test_a_result_fits_the_schema_and_survives_json(tmp_path: Path) -> None:
    limits = Limits(max_batch_size=2)
    result = run(runtime=obedient(fails(1, MemoryError()), limits=limits))
    assert statuses(result) == ["failed", "measured", "skipped"]
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(result.to_dict(), SCHEMA)
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert Result.from_dict(json.loads(text)).to_dict() == result.to_dict()


def test_every_latency_carries_its_definition_and_the_histogram_its_counts() -> None:
    case = run().cases[0]
    assert set(case["latencies"]) == {"latency", "ttft", "tpot", "itl", "generation"}
    for tag, entry in case["latencies"].items():
        assert entry["formula"] == OFFLINE_DEFINITIONS[tag].formula
    histogram = HdrHistogram.decode(case["histogram"]["hdr"])
    assert histogram.total_count == case["n"] == 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("boom"), "RuntimeError: boom"),
        (ValueError("x\ny"), "x y"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_a_case_that_fails_costs_itself_alone(error: BaseException, words: str) -> None:
    said: list[str] = []
    result = run(runtime=obedient(fails(2, error)), say=said.append)
    assert statuses(result) == ["measured", "failed", "measured"]
    assert words in result.cases[1]["reason"]
    assert "(in warm up)" in result.cases[1]["reason"]
    assert "latencies" not in result.cases[1]
    assert result.faces["benchmark"]["cases"][1]["latency(ms)"] == "n/a"
    assert any(words in line for line in said)
    assert result.quality.check("cases_failed").status == "warn"  # type: ignore[union-attr]


def test_a_runtime_whose_release_fails() -> None:
    class Stuck(UserRuntime):
        def release(self) -> None:
            raise RuntimeError("will not let go")

    result = run(runtime=Stuck(lambda case, on_step: None))
    assert set(statuses(result)) == {"failed"}
    assert result.cases[0]["reason"] == "RuntimeError: will not let go (in release)"


def test_release_is_called_whatever_happened() -> None:
    calls: list[str] = []

    class Counting(UserRuntime):
        def prepare(self, case: BenchmarkCase, seed: int) -> None:
            calls.append("prepare")
            super().prepare(case, seed)

        def release(self) -> None:
            calls.append("release")

        def close(self) -> None:
            calls.append("close")

    def call(case: BenchmarkCase, on_step: object) -> None:
        if case.batch_size == 2:
            raise RuntimeError

    run(runtime=Counting(call))
    assert calls == ["prepare", "release"] * 3  # a runtime of the caller's own is left open


def test_fail_fast_ends_the_sweep() -> None:
    plan = replace(PLAN, loop=replace(QUICK, fail_fast=True))
    result = run(plan, obedient(fails(1, RuntimeError())))
    assert statuses(result) == ["failed", "not_run", "not_run"]
    assert "--fail-fast" in result.cases[1]["reason"]
    assert not result.incomplete


def test_what_a_runtime_refuses_is_skipped() -> None:
    def prepare(case: BenchmarkCase, seed: int) -> BenchmarkCase:
        if case.batch_size == 2:
            raise UsageError("no such batch")
        return case

    result = run(runtime=UserRuntime(lambda case, on_step: None, prepare=prepare))
    assert statuses(result) == ["measured", "skipped", "measured"]
    assert result.cases[1]["reason"] == "no such batch"


def test_limits_are_said_in_the_originals_words() -> None:
    said: list[str] = []
    run(runtime=obedient(limits=Limits(max_seq_len=4)), say=said.append)
    assert next(line for line in said if "[WARNING]" in line) == (
        "tokenclock benchmark: [WARNING] check batch 1, 8 in, 4 out: input and output length 12 is above the model's "
        "maximum sequence length 4: failed, skipping."
    )


def test_a_signal_keeps_what_was_measured(tmp_path: Path) -> None:
    calls = iter(range(1000))

    def before(case: BenchmarkCase) -> None:
        if next(calls) == 6:  # in the second case: four of the first, one warm-up, one timed
            os.kill(os.getpid(), signal.SIGINT)

    said: list[str] = []
    plan = replace(PLAN, output=BenchmarkOutput(json=str(tmp_path / "a.json")))
    result = run(plan, obedient(before), say=said.append)
    assert result.incomplete
    assert statuses(result) == ["measured", "measured", "not_run"]
    assert (result.cases[1]["n"], result.cases[1]["run"]["ended_by"]) == (2, "interrupt")
    assert any("SIGINT: stopping, and saving what was measured" in line for line in said)
    assert Result.load(tmp_path / "a.json").to_dict() == result.to_dict()


def test_lengths_that_differ_are_marked_with_a_remedy() -> None:
    result = run(runtime=UserRuntime(lambda case, on_step: [case.output_len - 1] * case.batch_size))
    for case in result.cases:
        assert case["lengths"]["n_iterations_off"] == 3
        assert any("other lengths than asked" in line for line in case["warnings"])
    assert result.quality.check("lengths").status == "warn"  # type: ignore[union-attr]


def test_without_streaming_no_step_is_stamped() -> None:
    result = run(replace(PLAN, loop=replace(QUICK, streaming=False)))
    assert set(result.cases[0]["latencies"]) == {"latency"}
    assert result.faces["benchmark"]["cases"][0]["generation_time(ms)"] == "n/a"


def test_files_tell_one_story(tmp_path: Path) -> None:
    path, events = tmp_path / "out" / "a.json", tmp_path / "events"
    plan = replace(PLAN, output=BenchmarkOutput(json=str(path), save_events=str(events)))
    result = run(plan)
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.columns.npz", "a.json"]
    assert Result.load(path).to_dict() == result.to_dict()
    content = json.loads(path.read_text())
    assert [line["status"] for line in content["benchmark"]] == ["measured"] * 3
    assert content["benchmark"][0]["gpu_peak_mem(gb)"] is None
    columns = read_columns(path.with_name("a.columns.npz"))
    assert len(columns) == 3 * 4
    first = columns.take((columns.columns["case"] == 0) & (columns.columns["phase"] == 1))
    assert first.latency_ns.mean() == pytest.approx(result.cases[0]["latencies"]["latency"]["mean"])
    logged_plan, logged, cases, incomplete = read_log(events)
    assert BenchmarkPlan.from_dict(logged_plan) == plan
    assert not incomplete
    assert [case["status"] for case in cases] == ["measured"] * 3
    assert np.array_equal(logged.latency_ns, columns.latency_ns)
    assert np.array_equal(logged.t_step_ns, columns.t_step_ns)


def test_the_result_is_there_after_each_case(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    seen: list[list[str]] = []

    def before(case: BenchmarkCase) -> None:
        if case.batch_size == 4:
            seen.append(statuses(Result.load(path)))

    run(replace(PLAN, output=BenchmarkOutput(json=str(path))), obedient(before))
    assert seen[0] == ["measured", "measured"]


def test_a_result_that_cannot_be_written_is_said_and_the_events_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenclock.report import json_file

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json_file, "write", full)
    said: list[str] = []
    result = run(replace(PLAN, output=BenchmarkOutput(json=str(tmp_path / "a.json"))), say=said.append)
    assert statuses(result) == ["measured"] * 3
    assert any("cannot write" in line and "No space left" in line for line in said)
    assert any("is kept in" in line for line in said)
    assert len(read_log(tmp_path / ".a.events")[1]) == 12


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"json": "{tmp}"}, "--json must name a file"),
        ({"json": "{tmp}/file/a.json"}, "--json must be a file that can be written"),
        ({"save_events": "{tmp}/file/log"}, "--save-events .* cannot be written"),
    ],
)
def test_places_that_cannot_be_written_are_refused_before_the_first_case(
    tmp_path: Path, output: Mapping[str, str], words: str
) -> None:
    (tmp_path / "file").write_text("")
    filled = {key: value.format(tmp=tmp_path) for key, value in output.items()}
    called: list[object] = []
    with pytest.raises(UsageError, match=words):
        run(replace(PLAN, output=BenchmarkOutput(**filled)), obedient(called.append))  # type: ignore[arg-type]
    assert called == []


def test_a_plan_without_a_model_needs_a_runtime() -> None:
    with pytest.raises(UsageError, match="needs a runtime"):
        run_benchmark(PLAN)


def test_a_watcher_hears_of_every_case() -> None:
    heard: list[object] = []

    class Listening(Watcher):
        def opened(self, opening: Opening) -> None:
            heard.append((opening.runtime, opening.n_cases, opening.world_size))

        def going_on(self, run: object) -> None:
            heard.append("on")

        def case_ended(self, case: Mapping[str, Any], values: Mapping[str, Any]) -> None:
            heard.append((case["index"], values["batch_size"]))

    run(replace(PLAN, batch_sizes=(1, 2)), watcher=Listening())
    assert heard == [("user", 2, 1), *["on"] * 4, (0, 1), *["on"] * 4, (1, 2)]


def test_raw_latencies_are_logged_on_request() -> None:
    said: list[str] = []
    plan = replace(PLAN, batch_sizes=(1,), output=BenchmarkOutput(log_level="info"))
    run(plan, say=said.append)
    assert sum("latencies (ms):" in line and line.count(".") == 3 for line in said) == 1
    said.clear()
    run(replace(plan, loop=replace(QUICK, num_runs=30)), say=said.append)
    assert next(line for line in said if "latencies" in line).count(".") == 20 + 3  # first and last ten, dots between


def test_a_traceback_is_shown_on_request() -> None:
    said: list[str] = []
    plan = replace(PLAN, output=BenchmarkOutput(log_level="verbose"))
    run(plan, obedient(fails(2, RuntimeError("boom"))), say=said.append)
    assert any("Traceback" in line and "boom" in line for line in said)


def test_flags_without_effect_are_said_once() -> None:
    said: list[str] = []
    plan = replace(PLAN, model=ModelPlan(quantization="fp8"), output=BenchmarkOutput(dump_profile=True))
    run(plan, say=said.append)
    assert sum("--quantization fp8 is without effect" in line for line in said) == 1
    assert sum("--dump_profile is idle" in line for line in said) == 1


def test_the_runtimes_own_warnings_are_passed_on() -> None:
    said: list[str] = []
    facts = ModelFacts(
        name="m", family="dec", details={"warnings": ["a key was renamed"]}, execution_context_bytes=3 << 20
    )
    result = run(runtime=obedient(model=facts), say=said.append)
    assert "tokenclock benchmark: a key was renamed" in said
    assert "tokenclock benchmark: Allocated 3.00 MiB for execution context memory." in said
    assert "a key was renamed" in result.workload["notes"]


def test_options_come_from_the_plan() -> None:
    plan = BenchmarkPlan(
        family="dec", batch_sizes=(1, 9), lengths=((8, 4), (3, 77)), num_beams=2, seed=5,
        model=ModelPlan(dtype="bfloat16", dtype_named=True, pp=2, cuda_graph=True, threads=3),
    )  # fmt: skip
    options = options_of(plan)
    assert (options.max_batch_size, options.max_input_len, options.max_output_len) == (9, 8, 77)
    assert (options.dtype, options.dtype_named, options.pp, options.cuda_graph) == ("bfloat16", True, 2, True)
    assert (options.num_beams, options.seed, options.threads) == (2, 5, 3)
    assert options_of(BenchmarkPlan(family="enc", lengths=((8, None),))).max_output_len is None


def test_the_loops_own_cost_is_in_the_result() -> None:
    result = run()
    assert result.loop is not None
    assert 0 < result.loop["per_iteration_ns"] < 1_000_000
    assert result.loop["per_step_ns"] >= 0
    assert result.loop["between_ns"] > 0


def test_why_there_are_no_figures_of_gpus_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def enter(watch: GpuWatch) -> GpuWatch:
        watch.unavailable = "no NVML on this machine"
        return watch

    monkeypatch.setattr(GpuWatch, "__enter__", enter)
    said: list[str] = []
    result = run(say=said.append)
    assert said.count("tokenclock benchmark: no figures of GPUs, gpu_peak_mem(gb) is n/a: no NVML on this machine") == 1
    assert result.gpu == {"unavailable": "no NVML on this machine"}
    off = list[str]()
    run(replace(PLAN, output=BenchmarkOutput(gpu_sampling_interval_ms=0)), say=off.append)
    assert not any("GPUs" in line for line in off)


@pytest.mark.parametrize("output", [BenchmarkOutput(csv=True), BenchmarkOutput(dump_profile=True)])
def test_a_working_directory_that_takes_no_files_is_refused_first(
    output: BenchmarkOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/proc")
    with pytest.raises(UsageError, match=r"writes to the working directory, which must be .* got /proc"):
        run(replace(PLAN, output=output), obedient(fails(1, AssertionError("it ran"))))


def test_what_a_killed_run_left_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".a.events").mkdir()
    (tmp_path / ".a.events" / "part-r0000-000001.npz").touch()
    said: list[str] = []
    run(replace(PLAN, output=BenchmarkOutput(json=str(tmp_path / "a.json"))), say=said.append)
    assert sum("holds what another run into" in line and "it is kept" in line for line in said) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == [".a.events", "a.columns.npz", "a.json"]
    assert [file.name for file in (tmp_path / ".a.events").iterdir()] == ["part-r0000-000001.npz"]


def test_a_csv_file_is_written_by_the_library_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = replace(PLAN, output=BenchmarkOutput(csv=True))
    for _ in range(2):
        run(plan, obedient(fails(2, RuntimeError("boom")), name="mine"))
    with open(tmp_path / "mine_None_tp1_cpu.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["batch_size"], row["status"]) for row in rows] == [
        ("1", "measured"), ("2", "failed"), ("4", "measured")
    ] * 2  # fmt: skip


def test_a_csv_file_of_something_else_is_left_alone_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_None_tp1_cpu.csv").write_text("a,b\n1,2\n")
    said: list[str] = []
    result = run(replace(PLAN, output=BenchmarkOutput(csv=True)), obedient(name="mine"), say=said.append)
    assert statuses(result) == ["measured"] * 3
    assert sum("cannot add the row" in line and "another header" in line for line in said) == 3
    assert (tmp_path / "mine_None_tp1_cpu.csv").read_text() == "a,b\n1,2\n"


def test_a_result_takes_the_place_of_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    called: list[object] = []
    with pytest.raises(UsageError, match=r"--json must be a file that can be written, .* no regular file"):
        run(replace(PLAN, output=BenchmarkOutput(json=str(tmp_path / "a.json"))), obedient(called.append))
    assert called == []
    assert (tmp_path / "a.json").is_fifo()


def test_events_into_a_file_are_refused_before_gpus_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enter(watch: GpuWatch) -> GpuWatch:
        raise AssertionError("GPUs were looked for")

    monkeypatch.setattr(GpuWatch, "__enter__", enter)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--save-events .* cannot be written: it is no directory"):
        run(replace(PLAN, output=BenchmarkOutput(save_events=str(tmp_path / "file"))))


def test_a_case_that_is_cut_short_is_said() -> None:
    said: list[str] = []
    loop = replace(QUICK, num_runs=10, max_duration_s=1e-6)
    result = run(replace(PLAN, batch_sizes=(1,), loop=loop), say=said.append)
    words = "--max-duration ended it after 1 of 10 runs (--num_runs): raise --max-duration"
    assert words in result.cases[0]["warnings"]
    assert sum(words in line for line in said) == 1


def test_options_of_other_runtimes_are_said_and_a_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    said: list[str] = []
    options = ModelPlan(torch_compile=True, extra_llm_api_options=str(tmp_path / "a.yaml"))
    run(replace(PLAN, model=options), say=said.append)
    assert sum("--torch_compile is idle" in line for line in said) == 1
    assert sum("--extra_llm_api_options is idle" in line for line in said) == 1
    with pytest.raises(UsageError, match="--extra_llm_api_options must be a YAML file"):
        run(replace(PLAN, model=replace(options, extra_llm_api_options=str(tmp_path / "none"))))


@pytest.mark.parametrize("wrong", [{"lengths": ((1,),)}, {"batch_sizes": 8}, {"lengths": 8}])
def test_plans_of_wrong_shape_are_usage_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be"):
        BenchmarkPlan(**wrong)
