"""Runs an offline plan: where plan, runtime, ranks, metrics, quality and result meet."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tokenclock import environment
from tokenclock._core import now_ns
from tokenclock.atomic_file import refuse_irregular
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.impatience import second_signal_ends
from tokenclock.interrupts import deferred_interrupts
from tokenclock.iteration_log import IterationLog
from tokenclock.iteration_records import concatenate
from tokenclock.metrics.benchmark_face import benchmark_keys
from tokenclock.offline.agreement import CaseFailed, CaseRefused, together
from tokenclock.offline.csv_file import CsvFile
from tokenclock.offline.gpu import GpuWatch, gpu_of
from tokenclock.offline.layers import list_layers, profile_cases, what_is_missing
from tokenclock.offline.overhead import Overhead, measure_overhead
from tokenclock.offline.salvage import Salvage
from tokenclock.offline.sweep import Surroundings, Sweep, run_sweep
from tokenclock.offline.watcher import Opening, Watcher
from tokenclock.output_place import set_aside, temporary_log
from tokenclock.parallel import OneProcess, World, connect
from tokenclock.parallel.clock_offset import measure_offsets
from tokenclock.parallel.launch import detect
from tokenclock.parallel.notes import notes_of_others
from tokenclock.parallel.outlive import outlive
from tokenclock.plan_benchmark import BenchmarkPlan
from tokenclock.quality_benchmark import assess_benchmark
from tokenclock.report import benchmark_csv, iteration_columns_file, json_file, layers_csv
from tokenclock.report.columns_file import columns_path
from tokenclock.result import Result
from tokenclock.result_benchmark import build_benchmark_result, case_label
from tokenclock.runtime.find import choose_runtime, find_runtime, follower_of
from tokenclock.runtime.layers import LayerProfiler
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Runtime
from tokenclock.standard_error import say_on_stderr

__all__ = ["options_of", "run_benchmark"]

# of runtimes and ranks; which of them are installed, and in which version, is in every result
_PACKAGES = ("ctranslate2", "torch", "transformers", "tensorrt-llm", "mpi4py", "nvidia-ml-py")

Say = Callable[[str], None]


def run_benchmark(
    plan: BenchmarkPlan,
    *,
    runtime: Runtime | None = None,
    watcher: Watcher | None = None,
    say: Say = say_on_stderr,
    ends_process: bool = False,
) -> Result:
    """Time a model and return the result; files are written as the plan's output group says.

    Under mpirun or srun every rank calls; rank 0 alone says and writes anything, and every rank gets the result.

    Args:
        plan: the whole run.
        runtime: a loaded model of the caller's own; None: `plan.engine_dir` is loaded. It is left open.
        watcher: told of the run's course, on rank 0.
        say: told one line at a time what the user should know; default: stderr.
        ends_process: the caller exits after this run: once a signal has stopped it, later ones are ignored.

    Returns:
        The Result, kind ``benchmark``; `incomplete` after Ctrl-C, with everything that had been measured. A case that
        failed is an entry of `result.cases` with its reason.

    Raises:
        UsageError: bad input, or no such model.
        MeasurementError: the model does not load, or its runtime is not installed.
    """
    if runtime is None and plan.engine_dir is None:
        raise UsageError("a plan without engine_dir needs a runtime: run_benchmark(plan, runtime=...)")
    name = runtime.name if runtime is not None else choose_runtime(str(plan.engine_dir), plan.model.runtime)
    extra = plan.model.extra_llm_api_options
    if extra is not None and not os.path.isfile(extra):
        raise UsageError(f"--extra_llm_api_options must be a YAML file, got {extra}, which is none; give its path")
    events = plan.output.save_events
    if events is not None and os.path.exists(events) and not os.path.isdir(events):
        raise UsageError(f"--save-events {events} cannot be written: it is no directory; give another")
    with GpuWatch(plan.output.gpu_sampling_interval_ms, _place_on_host(runtime, name)) as gpu:  # before MPI comes in
        return _run_in_world(plan, runtime, watcher or Watcher(), say, ends_process, gpu)


def _place_on_host(runtime: Runtime | None, name: str) -> int | None:
    """The local rank whose GPU is to be watched; None where the work runs on any of them, or there is one rank."""
    launch = detect(os.environ)
    leads = name == "trtllm-llm" if runtime is None else runtime.ranks == "leader"
    return None if leads or launch is None else launch.local_rank


def _run_in_world(
    plan: BenchmarkPlan, runtime: Runtime | None, watcher: Watcher, say: Say, ends_process: bool, gpu: GpuWatch
) -> Result:
    started = datetime.now(timezone.utc)
    world = ranks = connect()

    def voice(line: str) -> None:
        if world.rank == 0:
            with contextlib.suppress(*([OSError] if ranks.size > 1 else [])):  # a launcher may have stopped listening
                say(f"tokenclock benchmark: {line}")

    _require_one_plan(plan, ranks)
    followers: list[dict[str, Any]] = []
    if runtime is None and ranks.size > 1 and (follow := follower_of(str(plan.engine_dir), plan.model.runtime)):
        followers = ranks.gather_all({"host": ranks.host, "local_rank": ranks.local_rank})[1:]
        if ranks.rank:
            follow(str(plan.engine_dir), plan.family, options_of(plan), ranks)
            raise SystemExit(0)
        world = OneProcess(local_rank=ranks.local_rank)  # nobody else has a word in what follows
    _prepare_files(plan, world)
    loaded, load_ns = _load(plan, world, ranks) if runtime is None else (runtime, None)
    gpu.mark_loaded()
    try:
        return _Run(plan, loaded, load_ns, world, gpu, watcher, voice, started, followers).result(ends_process)
    finally:
        if runtime is None:
            loaded.close()


def options_of(plan: BenchmarkPlan) -> RuntimeOptions:
    """What the plan asks of whichever runtime it is."""
    model, outputs = plan.model, [output for _, output in plan.lengths if output is not None]
    return RuntimeOptions(
        dtype=model.dtype,
        dtype_named=model.dtype_named,
        max_batch_size=max(plan.batch_sizes),
        max_input_len=max(input_len for input_len, _ in plan.lengths),
        max_output_len=max(outputs, default=None),
        num_beams=plan.num_beams,
        tp=model.tp,
        pp=model.pp,
        ep=model.ep,
        cuda_graph=model.cuda_graph,
        quantization=model.quantization,
        extra_llm_api_options=model.extra_llm_api_options,
        strict_options=model.strict_options,
        torch_compile=model.torch_compile,
        streaming=plan.loop.streaming,
        seed=plan.seed,
        gpu_weights_percents=plan.gpu_weights_percents,
        device=model.device,
        threads=model.threads,
    )


def _require_one_plan(plan: BenchmarkPlan, world: World) -> None:
    plans = world.gather_all((plan.sha256, plan.output.dump_profile))  # a profile is taken by all ranks together
    other = next((rank for rank, sha256 in enumerate(plans) if sha256 != plans[0]), None)
    if other is not None:
        raise UsageError(f"all ranks must be given the same plan, got another on rank {other}; see its command line")


def _prepare_files(plan: BenchmarkPlan, world: World) -> None:
    """Try the places that will be written to, so that a typo costs a second and not an hour."""
    output = plan.output
    if world.rank:
        return
    if output.csv or (output.json is None and (output.dump_profile or output.dump_layer_info)):
        flag = "--csv" if output.csv else "--dump_profile" if output.dump_profile else "--dump_layer_info"
        try:
            with tempfile.TemporaryFile(dir=os.curdir):
                pass
        except OSError as error:
            raise UsageError(
                f"{flag} writes to the working directory, which must be one that can be written to, got {os.getcwd()} "
                f"({error.strerror or error}); run it in another"
            ) from error
    if output.json is None:
        return
    path = Path(output.json)
    try:
        if path.is_dir():
            raise UsageError(f"--json must name a file, got the directory {path}")
        refuse_irregular(path)
        refuse_irregular(columns_path(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(
            f"--json must be a file that can be written, got {path} ({error.strerror or error}); give another"
        ) from error


def _load(plan: BenchmarkPlan, world: World, ranks: World) -> tuple[Runtime, int]:
    """The runtime, and how long loading it took; what goes wrong on one rank is an error of all in `world`."""
    assert plan.engine_dir is not None
    begun_ns = now_ns()
    found: list[Runtime] = []
    try:
        with together(world, lockstep=True):
            found.append(
                find_runtime(
                    plan.engine_dir, plan.family, runtime=plan.model.runtime, options=options_of(plan), world=ranks
                )
            )
    except CaseRefused as error:
        raise UsageError(str(error)) from error
    except CaseFailed as error:
        raise MeasurementError(str(error)) from error
    return found[0], now_ns() - begun_ns


class _Run:
    """One run with its runtime loaded."""

    def __init__(
        self,
        plan: BenchmarkPlan,
        runtime: Runtime,
        load_ns: int | None,
        world: World,
        gpu: GpuWatch,
        watcher: Watcher,
        say: Say,
        started: datetime,
        followers: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._plan, self._runtime, self._load_ns, self._world = plan, runtime, load_ns, world
        self._gpu, self._started = gpu, started
        self._watcher = CsvFile(watcher, self._say) if plan.output.csv else watcher
        self._say_aloud, self._notes = say, list[str]()
        self._model = dataclasses.asdict(runtime.model)
        self._world_size = int(self._model["details"].get("world_size") or world.size)
        gpu_facts = gpu_of(runtime, world.local_rank)
        self._compute_cap: str | None = None if gpu_facts is None else gpu_facts["compute_cap"]
        self._temporary_log: str | None = None
        self._epoch_ns = now_ns()
        offset = measure_offsets(world, stamp=now_ns)[world.rank]
        self._ranks = world.gather_all(
            {
                "host": world.host,
                "local_rank": world.local_rank,
                "gpu": gpu_facts,
                "epoch_ns": self._epoch_ns,
                "clock_offset_ns": offset.offset_ns,
                "clock_uncertainty_ns": offset.uncertainty_ns,
            }
        ) + [dict(follower) for follower in followers]

    def result(self, ends_process: bool) -> Result:
        """Run the sweep, write the files, return the result."""
        plan, world, runtime = self._plan, self._world, self._runtime
        self._say_first()
        overhead = measure_overhead()
        alone = ends_process and world.size == 1  # of several ranks the launcher sees to it
        with (
            deferred_interrupts(self._say_aloud, ends_process=ends_process) as stop_requested,
            contextlib.ExitStack() as ending,
        ):
            log = self._open_log()
            salvage = self._open_salvage(overhead)
            if salvage is not None:
                ending.enter_context(salvage)
            if world.rank == 0:
                self._watcher.opened(
                    Opening(
                        self._model,
                        runtime.name,
                        self._world_size,
                        self._compute_cap,
                        benchmark_keys(plan.family),
                        plan.n_cases,
                        self._started.isoformat(timespec="seconds"),
                    )
                )
            with second_signal_ends(self._say_aloud) if alone else contextlib.nullcontext():
                sweep = run_sweep(
                    Surroundings(
                        plan,
                        runtime,
                        world,
                        self._world_size,
                        self._compute_cap,
                        self._epoch_ns,
                        overhead,
                        self._gpu,
                        log,
                        self._watcher,
                        self._say,
                        stop_requested,
                        lambda sweep: self._write_result(sweep, overhead),
                    )
                )
                if not sweep.interrupted:  # as all ranks know; after a signal every moment counts
                    self._list_layers()
                if not sweep.stopped:
                    self._profile_layers(sweep, overhead, stop_requested)
            if sweep.interrupted and len(self._ranks) > 1 and world.rank == 0:
                saved = outlive(lambda: self._save_in_time(sweep, overhead, salvage)) == 0
                log = None if saved and self._temporary_log is not None else log  # it is gone already
            gpus, notes = world.gather(self._gpu.stop()), world.gather(self._notes)
            if notes is not None:
                for line in notes_of_others(notes, [str(rank["host"]) for rank in self._ranks]):
                    self._say(line)
                result = self._result_of(sweep, overhead, gpus)
                self._write_files(result, sweep, log)
            if salvage is not None:
                salvage.done()
        if world.size == 1:
            return result
        return Result.from_dict(world.broadcast(result.to_dict() if world.rank == 0 else {}))

    def _layers_path(self, what: str) -> Path:
        own_name = benchmark_csv.file_name(self._model, self._world_size, self._compute_cap)
        return layers_csv.layers_path(self._plan.output.json or own_name, what)

    def _list_layers(self) -> None:
        """What --dump_layer_info asks for: a file of rank 0's layers, named in the result."""
        if not self._plan.output.dump_layer_info or self._world.rank:
            return
        path, layers = self._layers_path("layer_info"), list_layers(self._runtime, self._say)
        if layers and self._written(path, lambda: layers_csv.write_layer_info(path, layers)):
            self._model["layer_info"] = {"file": path.name, "n_layers": len(layers)}
            self._say_aloud(f"layers in {path}")

    def _profile_layers(self, sweep: Sweep, overhead: Overhead, stop_requested: Callable[[], bool]) -> None:
        """What --dump_profile asks for: a file of the times of rank 0's layers, named in the result."""
        plan, world, runtime = self._plan, self._world, self._runtime
        if not plan.output.dump_profile or not isinstance(runtime, LayerProfiler):
            return
        if plan.output.json is not None and world.rank == 0:  # should the profiler take the process along
            json = plan.output.json
            self._written(json, lambda: json_file.write(self._result_of(sweep, overhead, None, ended=False), json))
        measured = [entry["index"] for entry in sweep.entries if entry["status"] == "measured"]
        profiled = profile_cases(plan, runtime, world, world.broadcast(measured), self._say, stop_requested)
        if world.rank or not profiled:
            return
        path = self._layers_path("layer_profile")
        rows = [(case_label(case), times) for case, times in profiled]
        if self._written(path, lambda: layers_csv.write_profile(path, rows)):
            for case, times in profiled:
                run = sweep.entries[case.index]["run"]
                run["layer_profile"] = {"file": path.name, "n_layers": len({layer.name for layer in times})}
            self._say_aloud(f"layer profile in {path}")

    def _open_salvage(self, overhead: Overhead) -> Salvage | None:
        """Where a launcher may kill rank 0 before it has written anything, and there is a log to do it from."""
        output = self._plan.output
        log = output.save_events or self._temporary_log
        if self._world.rank or len(self._ranks) == 1 or output.json is None or log is None:
            return None
        known = {**self._known(overhead), "created": self._started.isoformat(timespec="seconds")}
        return Salvage(str(log), str(output.json), temporary=self._temporary_log is not None, known=known)

    def _save_in_time(self, sweep: Sweep, overhead: Overhead, salvage: Salvage | None) -> int:
        """The files, as far as they can be had at once: the launcher may be about to kill this process. What it leaves
        alive writes them again, with the figures of the GPUs. Runs in a copy of rank 0."""
        self._say_aloud = lambda _line: None
        code = self._write_files(self._result_of(sweep, overhead, None), sweep, None)
        if code == 0 and salvage is not None:
            salvage.done()
        if code == 0 and self._temporary_log is not None:
            shutil.rmtree(self._temporary_log, ignore_errors=True)
        return code

    def _say(self, line: str) -> None:
        self._notes.append(line)
        self._say_aloud(line)

    def _say_first(self) -> None:
        runtime, world, plan = self._runtime, self._world, self._plan
        for line in runtime.model.details.get("warnings", ()):
            self._say(line)
        if runtime.ranks == "replica" and world.size > 1:
            self._say(
                f"each of the {world.size} ranks runs a whole replica: latency is that of the slowest rank, "
                "tokens_per_sec that of one replica"
            )
        if plan.model.quantization is not None and not runtime.model.quantization:
            self._say(f"--quantization {plan.model.quantization} is without effect: the model is built already")
        for line in what_is_missing(plan, runtime):
            self._say(line)
        if self._gpu.unavailable is not None and plan.output.gpu_sampling_interval_ms:
            self._say(f"no figures of GPUs, gpu_peak_mem(gb) is n/a: {self._gpu.unavailable}")
        nbytes = runtime.model.execution_context_bytes
        if nbytes is not None:
            self._say(f"Allocated {nbytes / 2**20:.2f} MiB for execution context memory.")

    def _open_log(self) -> IterationLog | None:
        """The event log asked for, or a temporary one beside the result."""
        output, rank = self._plan.output, self._world.rank
        place = output.save_events
        if place is None and output.json is not None:
            own = str(temporary_log(Path(output.json), self._say)) if rank == 0 else ""
            place = self._temporary_log = self._world.broadcast(own)
        if place is None:
            return None
        if self._temporary_log is not None:
            set_aside(Path(place))
        self._world.barrier()
        return IterationLog(place, self._plan.to_dict(), rank, self._say)

    def _result_of(
        self, sweep: Sweep, overhead: Overhead, gpus: list[dict[str, Any] | None] | None, *, ended: bool = True
    ) -> Result:
        plan = self._plan
        incomplete = sweep.interrupted or not ended
        quality = assess_benchmark(
            sweep.findings,
            per_iteration_ns=overhead.per_iteration_ns,
            per_step_ns=overhead.per_step_ns,
            named_percentiles=plan.output.percentiles,
            incomplete=incomplete,
            is_null=self._runtime.name == "null",
        )
        known = [figures for figures in gpus or [] if figures is not None]
        return build_benchmark_result(
            plan,
            cases=sweep.entries,
            face=sweep.face,
            latency_source="cuda events" if sweep.has_device_times else "host clock",
            quality=quality,
            **self._known(overhead),
            environment=environment.collect(_PACKAGES),
            notes=self._notes,
            created=self._started,
            incomplete=incomplete,
            gpu={"ranks": known} if known else {"unavailable": self._gpu.unavailable},
        )

    def _known(self, overhead: Overhead) -> dict[str, Any]:
        """Groups of the result that are known before the first case."""
        return {
            "model": {
                **self._model,
                "runtime": self._runtime.name,
                "limits": dataclasses.asdict(self._runtime.limits),
                "load_ns": self._load_ns,
            },
            "ranks": {
                "world_size": self._world_size,
                "n": len(self._ranks),
                "kind": self._runtime.ranks,
                "of": self._ranks,
            },
            "loop": dataclasses.asdict(overhead),
        }

    def _write_result(self, sweep: Sweep, overhead: Overhead) -> None:
        """After each case, so that a crash keeps what was measured."""
        path = self._plan.output.json
        if (
            path is None or len(sweep.entries) == self._plan.n_cases
        ):  # the last case's comes with the whole run's figures
            return
        self._written(path, lambda: json_file.write(self._result_of(sweep, overhead, None, ended=False), path))

    def _write_files(self, result: Result, sweep: Sweep, log: IterationLog | None) -> int:
        """All files of the run; returns an exit code. Without `log` the event log is left as it is."""
        path, whole = self._plan.output.json, True
        if log is not None:
            log.finish(incomplete=result.incomplete)
        if path is None:
            return 0
        columns = columns_path(path)
        whole = self._written(path, lambda: json_file.write(result, path))
        whole &= self._written(columns, lambda: iteration_columns_file.write(concatenate(sweep.records), columns))
        if self._temporary_log is not None and log is not None:
            if whole:
                shutil.rmtree(self._temporary_log, ignore_errors=True)
            elif not log.broken:
                self._say_aloud(f"everything that was measured is kept in {self._temporary_log}")
        if whole:
            self._say_aloud(f"result in {path}")
        return 0 if whole else 1

    def _written(self, path: str | Path, write: Callable[[], None]) -> bool:
        try:
            write()
        except OSError as error:
            self._say_aloud(f"cannot write {path}: {error.strerror or error}")
            return False
        return True
