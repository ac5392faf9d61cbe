"""A data set on a runtime in this process: load, warm up, measure, and what the report says of the runtime."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock import environment
from tokenclock._core import now_ns
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.event_log import EventLog
from tokenclock.impatience import second_signal_ends
from tokenclock.interrupts import deferred_interrupts
from tokenclock.metrics.summary import summarise
from tokenclock.parallel import connect
from tokenclock.plan_facts import bench_facts
from tokenclock.plan_throughput import BenchRuntime, ThroughputPlan
from tokenclock.quality import assess
from tokenclock.records import Records
from tokenclock.result import Result, build_result
from tokenclock.result_sections import certainty_sections
from tokenclock.runtime.find import find_in_flight, follower_of
from tokenclock.runtime.in_flight import InFlight, InFlightOptions, InFlightRequest, Outcome, Sampling
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.throughput.gpu_watch import GpuWatch
from tokenclock.throughput.in_process_sections import engine_sections
from tokenclock.throughput.load import OpenLog, Progress, run_in_flight
from tokenclock.throughput.measured import Measured
from tokenclock.throughput.prompts import check_fit, fingerprint, requests_of, tokenizer_of, warm_ups
from tokenclock.workload.datasets.trtllm_bench import BenchRows
from tokenclock.workload.tokenizer import Tokenizer

__all__ = ["measure_in_process"]

_PACKAGES = ("ctranslate2", "tensorrt-llm", "mpi4py", "nvidia-ml-py")

Say = Callable[[str], None]


def measure_in_process(
    plan: ThroughputPlan,
    rows: BenchRows,
    *,
    on_progress: Progress | None,
    say: Say,
    ends_process: bool,
    log_place: Path | None = None,
) -> Measured:
    """Run the rows on the plan's runtime. Under mpirun the other ranks work for rank 0's engine, and end here.

    Args:
        plan: of the run.
        rows: of the data set.
        on_progress: told the counters 20 times a second.
        say: told one line at a time what the user should know.
        ends_process: the caller exits after this run.
        log_place: directory of the event log; None: none is written.

    Raises:
        UsageError: no such model, or rows that it cannot take, with the line of the file.
        MeasurementError: the model does not load, or the warm-up fails.
    """
    runtime = plan.runtime
    assert runtime is not None, "the plan is of a server"
    started = datetime.now(timezone.utc)
    ranks = connect()
    tokenizer = tokenizer_of(plan)
    if tokenizer is None and plan.output.output_json is not None:
        raise UsageError(
            "--output_json needs a tokenizer to turn answers into text: give --tokenizer DIR with a tokenizer.json, or "
            "leave it out"
        )
    extra = runtime.extra_llm_api_options
    if extra is not None and not Path(extra).is_file():
        raise UsageError(f"--extra_llm_api_options must be a YAML file, got {extra}, which is none; give its path")
    requests = requests_of(rows, tokenizer)
    options, asked = _options(plan, runtime, requests), _asked(plan, runtime, requests)
    if ranks.size > 1:
        follow = follower_of(runtime.directory, runtime.runtime)
        if follow is None:
            raise UsageError(
                f"{plan.command} runs in one process here: {ranks.size} ranks would each run the whole data set; start "
                "it without mpirun, or use --runtime trtllm-llm, whose engine takes the ranks as its workers"
            )
        if ranks.rank:
            follow(runtime.directory, "dec", options, ranks)
            raise SystemExit(0)
    sampling = Sampling(plan.eos_id, plan.beam_width, tuple(plan.sampling.items()))
    with GpuWatch(runtime.gpu_sampling_interval_ms) as gpus:
        begun_ns = now_ns()
        target = find_in_flight(
            runtime.directory, runtime=runtime.runtime, options=options, sampling=sampling, asked=asked, world=ranks
        )
        load_ns = now_ns() - begun_ns
        gpus.mark_loaded()
        try:
            _require_what_it_can(plan, runtime, target, rows, requests, say)
            if gpus.unavailable is not None and runtime.gpu_sampling_interval_ms and _is_on_gpu(target):
                say(f"no figures of GPUs: {gpus.unavailable}")
            alone = ends_process and ranks.size == 1
            with deferred_interrupts(say, ends_process=ends_process) as stop_requested:
                with second_signal_ends(say) if alone else contextlib.nullcontext():
                    _warm_up(plan, target, requests, stop_requested)
                    gpus.begin()
                    records, outcomes = run_in_flight(
                        target,
                        requests,
                        concurrency=plan.concurrency,
                        streaming=plan.streaming,
                        stop_requested=stop_requested,
                        on_progress=on_progress,
                        open_log=None if log_place is None else _opener(plan, log_place, say),
                    )
                    gpus.end()
                if not records.ok.any() and records.errors:
                    say(f"every request failed: {next(iter(records.errors.values()))}")
                records = _with_texts(plan, records, outcomes, tokenizer)
                result = _conclude(plan, rows, requests, records, started, tokenizer, gpus.stop())
                model = {
                    **asdict(target.model),
                    "runtime": target.name,
                    "limits": asdict(target.limits),
                    "load_ns": load_ns,
                }
                isl = np.array([len(request.ids) for request in requests], np.int32)
                return Measured(
                    replace(result, model=model),
                    records,
                    isl,
                    *engine_sections(plan, runtime, target),
                    iterations=_iterations(plan, target),
                )
        finally:
            target.close()


def _require_what_it_can(
    plan: ThroughputPlan,
    runtime: BenchRuntime,
    target: InFlight,
    rows: BenchRows,
    requests: Sequence[InFlightRequest],
    say: Say,
) -> None:
    """Refuse what the loaded model cannot do, and say what changes nothing."""
    if plan.output.iteration_log is not None and not hasattr(target, "iterations"):
        raise UsageError(
            "--iteration_log needs --runtime trtllm-llm or trtllm-engine: "
            f"{target.name} tells nothing of iterations; leave it out"
        )
    longest = min((n for n in (target.limits.max_seq_len, runtime.max_seq_len) if n is not None), default=None)
    check_fit(rows, requests, target.model.vocab_size, longest, takes_lora=target.takes_lora)
    if runtime.extra_llm_api_options is not None and target.name != "trtllm-llm":
        say(f"--extra_llm_api_options changes nothing: the runtime {target.name} does not read it")
    for line in (*target.notes, *target.model.details.get("warnings", ())):
        say(line)


def _is_on_gpu(target: InFlight) -> bool:
    return not str(target.model.details.get("device") or "cpu").startswith("cpu")


def _opener(plan: ThroughputPlan, place: Path, say: Say) -> OpenLog:
    def open_log(asked: Mapping[str, Any]) -> EventLog:
        return EventLog(place, plan.to_dict(), asked, warn=say)

    return open_log


def _options(plan: ThroughputPlan, runtime: BenchRuntime, requests: Sequence[InFlightRequest]) -> RuntimeOptions:
    return RuntimeOptions(
        dtype=runtime.dtype,
        dtype_named=runtime.dtype_named,
        max_batch_size=runtime.max_batch_size or 1,
        max_input_len=max(len(request.ids) for request in requests),
        max_output_len=max(request.osl for request in requests),
        num_beams=plan.beam_width,
        tp=plan.tp if (plan.tp or 1) > 1 else None,
        pp=plan.pp if (plan.pp or 1) > 1 else None,
        ep=runtime.ep,
        extra_llm_api_options=runtime.extra_llm_api_options,
        strict_options=runtime.strict_options,
        streaming=plan.streaming,
        seed=plan.seed,
        device=runtime.device,
        threads=runtime.threads,
    )


def _asked(plan: ThroughputPlan, runtime: BenchRuntime, requests: Sequence[InFlightRequest]) -> InFlightOptions:
    return InFlightOptions(
        concurrency=plan.concurrency,
        max_batch_size=runtime.max_batch_size,
        max_num_tokens=runtime.max_num_tokens,
        max_seq_len=runtime.max_seq_len,
        longest_prompt=max(len(request.ids) for request in requests),
        longest_request=max(len(request.ids) + request.osl for request in requests),
        kv_cache_share=runtime.kv_cache_share,
        chunked_context=runtime.chunked_context,
        scheduler_policy=runtime.scheduler_policy,
        iterations=plan.output.iteration_log is not None,
    )


def _warm_up(
    plan: ThroughputPlan,
    target: InFlight,
    requests: Sequence[InFlightRequest],
    stop_requested: Callable[[], bool],
) -> None:
    if not plan.warmup:
        return
    _, outcomes = run_in_flight(
        target,
        warm_ups(requests, plan.warmup, plan.seed),
        concurrency=plan.concurrency,
        streaming=plan.streaming,
        stop_requested=stop_requested,
    )
    failed = next((outcome.error for outcome in outcomes if outcome is not None and outcome.error), None)
    if failed is not None:
        raise MeasurementError(f"a warm-up request failed: {failed}")


def _with_texts(
    plan: ThroughputPlan, records: Records, outcomes: Sequence[Outcome | None], tokenizer: Tokenizer | None
) -> Records:
    """The records with the decoded answers, where a file wants them and there is a tokenizer."""
    if tokenizer is None or not (plan.output.output_json or plan.output.request_json):
        return records
    ids = [list(outcome.output_ids or ()) if outcome is not None else [] for outcome in outcomes]
    return replace(records, texts=tokenizer.texts(ids))


def _conclude(
    plan: ThroughputPlan,
    rows: BenchRows,
    requests: Sequence[InFlightRequest],
    records: Records,
    started: datetime,
    tokenizer: Tokenizer | None,
    gpu: Mapping[str, Any] | None,
) -> Result:
    facts = bench_facts(plan, len(requests), None if tokenizer is None else tokenizer.source)
    summary, incomplete = summarise(records, facts), bool(records.client["interrupted"])
    names = [request.lora[0] for request in requests if request.lora is not None]
    return build_result(
        summary,
        assess(records, facts, summary, incomplete=incomplete),
        facts,
        plan=plan.to_dict(),
        environment=environment.collect(_PACKAGES),
        workload={
            "sha256": fingerprint(requests),
            "dataset": "trtllm_bench",
            "tokenizer": facts.tokenizer,
            "notes": list(rows.notes),
            "lora": {name: names.count(name) for name in dict.fromkeys(names)},
        },
        client=records.client,
        created=started,
        incomplete=incomplete,
        gpu=gpu,
        **certainty_sections(records, facts, summary, seed=plan.seed),
    )


def _iterations(plan: ThroughputPlan, target: InFlight) -> list[Any] | None:
    found: list[Any] | None = None
    if plan.output.iteration_log is not None:
        read = getattr(target, "iterations", None)
        found = None if read is None else read()
    return found
