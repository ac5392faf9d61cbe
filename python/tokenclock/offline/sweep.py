"""The cases of a plan, one after the other; what goes wrong in one stays in it."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenclock import units
from tokenclock.iteration_log import IterationLog
from tokenclock.iteration_records import TIMED, IterationRecords, concatenate, whole_iterations
from tokenclock.metrics.benchmark_face import CaseFacts, benchmark_values
from tokenclock.metrics.offline_case import CaseNumbers, case_numbers
from tokenclock.offline.agreement import CaseFailed, CaseRefused, together
from tokenclock.offline.device_time import device_timer
from tokenclock.offline.gpu import GpuWatch, peak_bytes
from tokenclock.offline.iterations import Iterations
from tokenclock.offline.limits import skip_reason
from tokenclock.offline.loop import CaseRun, run_case
from tokenclock.offline.overhead import Overhead
from tokenclock.offline.watcher import Watcher
from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase, BenchmarkPlan
from tokenclock.quality_benchmark import CaseFindings, case_warnings
from tokenclock.report.format import brief
from tokenclock.result_benchmark import case_entry, case_label
from tokenclock.runtime.protocol import Runtime

__all__ = ["Surroundings", "Sweep", "run_sweep"]


@dataclass
class Sweep:
    """What came of the cases so far; complete on rank 0 only."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    face: list[dict[str, Any]] = field(default_factory=list)
    findings: list[CaseFindings] = field(default_factory=list)
    records: list[IterationRecords] = field(default_factory=list)
    interrupted: bool = False
    has_device_times: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def stopped(self) -> bool:
        """No further case is to be run: interrupted, or `fail_fast` after a failure."""
        return self.interrupted or self._failed_fast

    _failed_fast: bool = False


@dataclass
class Surroundings:
    """What every case needs beside itself."""

    plan: BenchmarkPlan
    runtime: Runtime
    world: World
    world_size: int
    compute_cap: str | None
    epoch_ns: int
    overhead: Overhead
    gpu: GpuWatch
    log: IterationLog | None
    watcher: Watcher
    say: Callable[[str], None]
    stop_requested: Callable[[], bool]
    case_over: Callable[[Sweep], None]


def run_sweep(around: Surroundings) -> Sweep:
    """Run every case of the plan; called by all ranks together."""
    sweep = Sweep()
    for case in around.plan.cases():
        if sweep.stopped:
            reason = "the run was interrupted" if sweep.interrupted else "--fail-fast: an earlier case failed"
            _close(around, sweep, case, None, "not_run", reason, None)
            continue
        outside = skip_reason(case, around.runtime.limits)
        if outside is not None:
            around.say(f"[WARNING] check {case_label(case)}: {outside}: failed, skipping.")
            _close(around, sweep, case, None, "skipped", outside, None)
            continue
        _run_one(around, sweep, case)
    return sweep


def _run_one(around: Surroundings, sweep: Sweep, case: BenchmarkCase) -> None:
    runtime, world, plan = around.runtime, around.world, around.plan
    stamps = plan.loop.streaming and runtime.streams
    device, problem = device_timer(runtime.cuda_stream, (case.output_len or 0) if stamps else 0)
    if problem is not None and problem not in sweep.problems:
        sweep.problems.append(problem)
        around.say(problem)
    iterations = Iterations(case, world.rank, around.epoch_ns, stamps_steps=stamps, device=device)
    run, n_logged = CaseRun(case, iterations), 0
    status = "measured"
    reason: str | None = None

    def between(run: CaseRun) -> None:
        nonlocal n_logged
        if around.log is not None and around.log.due():
            around.log.write(run.iterations.records(n_logged))
            n_logged = len(run.iterations)
        if world.rank == 0:
            around.watcher.going_on(run)

    around.gpu.begin(case_label(case))
    try:
        run_case(run, runtime, plan.loop, plan.seed, world, stop_requested=around.stop_requested, between=between)
    except CaseRefused as error:
        status, reason = "skipped", str(error)
    except CaseFailed as error:
        status, reason = "failed", f"{error} (in {run.phase.replace('_', ' ')})"
        if plan.output.log_level == "verbose":
            around.say(error.trace)
    release_error = _release(around)
    if release_error is not None and status == "measured":
        status, reason = "failed", release_error
    if status == "failed":
        gc.collect()  # what was raised may have held on to memory
    if run.ended_by == "interrupt":
        sweep.interrupted = True
    if around.log is not None:
        around.log.write(run.iterations.records(n_logged))
    _close(around, sweep, case, run, status, reason, around.gpu.end())
    if status == "failed" and plan.loop.fail_fast:
        sweep._failed_fast = True


def _release(around: Surroundings) -> str | None:
    """Free the case on every rank; a failure of that is no reason to stop, but of this case's to be said."""
    try:
        with together(around.world, lockstep=False):
            around.runtime.release()
    except (CaseFailed, CaseRefused) as error:
        return f"{error} (in release)"
    return None


def _close(
    around: Surroundings,
    sweep: Sweep,
    case: BenchmarkCase,
    run: CaseRun | None,
    status: str,
    reason: str | None,
    gpu: dict[str, Any] | None,
) -> None:
    """Gather what the ranks have and put the case into the sweep's lists; rank 0 tells the watcher."""
    gathered: list[tuple[IterationRecords, dict[str, Any] | None]] | None
    if run is None:  # nobody has anything: no rank needs to be asked
        gathered = [] if around.world.rank == 0 else None
    else:
        gathered = around.world.gather((run.iterations.records(), gpu))
    if gathered is None:
        return
    records = concatenate(part for part, _ in gathered)
    sweep.records.append(records)
    numbers = None
    if status == "measured":
        if bool((records.columns["phase"] == TIMED).any()):
            numbers = case_numbers(
                whole_iterations(records), num_beams=case.num_beams, percentiles=around.plan.output.percentiles
            )
        else:
            status, reason = "not_run", "the run was interrupted before the first timed iteration"
    gpus = [figures for _, figures in gathered if figures is not None]
    _note(around, sweep, case, run, status, reason, numbers, gpus)


def _note(
    around: Surroundings,
    sweep: Sweep,
    case: BenchmarkCase,
    run: CaseRun | None,
    status: str,
    reason: str | None,
    numbers: CaseNumbers | None,
    gpus: list[dict[str, Any]],
) -> None:
    plan, overhead, is_null = around.plan, around.overhead, around.runtime.name == "null"
    warnings = []
    if numbers is not None:
        costs = {"per_iteration_ns": overhead.per_iteration_ns, "per_step_ns": overhead.per_step_ns}
        cut = run is not None and run.ended_by == "max_duration" and numbers.n < plan.loop.num_runs
        cut_at_runs = plan.loop.num_runs if cut else None
        warnings = case_warnings(numbers, **costs, is_null=is_null, cut_at_runs=cut_at_runs)
        sweep.has_device_times |= "device_latency" in numbers.series
    entry = case_entry(
        case,
        status=status,
        reason=reason,
        numbers=numbers,
        run=None if run is None else _run_facts(run),
        warnings=warnings,
        gpu={"ranks": gpus} if gpus else None,
    )
    facts = CaseFacts(
        family=plan.family,
        world_size=around.world_size,
        model=dataclasses.asdict(around.runtime.model),
        batch_size=case.batch_size,
        input_len=case.input_len,
        output_len=case.output_len,
        gpu_weights_percent=case.gpu_weights_percent,
        gpu_peak_bytes=peak_bytes(gpus),
        compute_cap=around.compute_cap,
    )
    values = benchmark_values(facts, numbers)
    sweep.entries.append(entry)
    sweep.face.append(values)
    sweep.findings.append(
        CaseFindings(
            case_label(case),
            status,
            numbers,
            None if run is None else run.ended_by,
            numbers is not None and numbers.n < plan.loop.num_runs,
        )
    )
    if status == "failed":
        around.say(f"{case_label(case)}: failed: {brief(reason or '')}")
    for line in warnings:
        around.say(f"{case_label(case)}: {line}")
    if numbers is not None and "setup" in numbers.series:
        median = _ms(numbers.series["setup"].median)
        around.say(f"{case_label(case)}: set-up before each iteration, not in the latency: {median} ms (median)")
    if numbers is not None and plan.output.log_level in ("info", "verbose"):
        around.say(f"{case_label(case)}: latencies (ms): {_raw(numbers)}")
    if around.log is not None:
        around.log.case_ended(entry)
    if sweep.interrupted and around.world.size > 1:  # the launcher may have stopped listening, and time is short
        with contextlib.suppress(OSError):
            around.watcher.case_ended(entry, values)
        return
    around.watcher.case_ended(entry, values)
    around.case_over(sweep)


def _run_facts(run: CaseRun) -> Mapping[str, Any]:
    return {
        "phase": run.phase,
        "ended_by": run.ended_by,
        "prepare_ns": run.prepare_ns,
        "details": dict(run.iterations.details),
    }


def _ms(value_ns: float | None) -> str:
    return "n/a" if value_ns is None else f"{units.ns_to_ms(value_ns):.3f}"


def _raw(numbers: CaseNumbers) -> str:
    """All latencies of at most 20, else the first and the last ten, as the original logs them."""
    values = [f"{units.ns_to_ms(value):.3f}" for value in numbers.latency_ns.tolist()]
    shown = values if len(values) <= 20 else [*values[:10], "...", *values[-10:]]
    return " ".join(shown)
