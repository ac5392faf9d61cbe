"""A data set on an OpenAI-compatible server: the engine of `serving` with the file's requests."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock import plan as serving
from tokenclock.errors import UsageError
from tokenclock.plan_throughput import ThroughputPlan
from tokenclock.records import Records
from tokenclock.run import run_serving
from tokenclock.throughput.load import Progress
from tokenclock.throughput.measured import Measured
from tokenclock.workload.datasets.trtllm_bench import BenchRows
from tokenclock.workload.datasets.trtllm_bench_workload import has_media, lora_names

__all__ = ["measure_on_server", "serving_plan"]

Say = Callable[[str], None]

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")


def serving_plan(plan: ThroughputPlan, rows: BenchRows, log_place: Path | None = None) -> serving.ServingPlan:
    """The load test that the rows make: a closed loop, greedy unless said otherwise, in the order of the file.

    Args:
        plan: of the run.
        rows: of the data set.
        log_place: directory of the event log; None: none is written.

    Raises:
        UsageError: rows or sampling options that a server cannot be sent.
    """
    server = plan.server
    assert server is not None, "the plan is of a runtime"
    if plan.output.iteration_log is not None:
        raise UsageError("--iteration_log needs a runtime in this process: leave it out with --base-url")
    unknown = sorted(set(plan.sampling) - set(_SAMPLING))
    if unknown:
        raise UsageError(f"--sampler_options: a server is sent {', '.join(_SAMPLING)}, not {unknown[0]}; leave it out")
    chat = has_media(rows)
    return serving.ServingPlan(
        endpoint=serving.EndpointPlan(
            model=plan.model,
            backend="openai-chat" if chat else "openai",
            base_url=server.base_url,
            path="/v1/chat/completions" if chat else "/v1/completions",
            served_model_name=server.served_model_name,
            tokenizer=plan.tokenizer or _tokenizer_beside(plan.model_path),
            headers=server.headers,
            api_key=server.api_key,
            lora_modules=lora_names(rows),
        ),
        load=serving.LoadPlan(
            num_prompts=len(rows.rows),
            max_concurrency=plan.concurrency,
            seed=plan.seed,
            num_warmups=plan.warmup,
            streaming=plan.streaming,
            request_timeout_s=server.request_timeout_s,
            no_progress_timeout_s=server.no_progress_timeout_s,
            silence_timeout_s=server.silence_timeout_s,
            cache_bust=server.cache_bust,
        ),
        generation=serving.GenerationPlan(
            ignore_eos=True,  # of the model's own: what ends an answer is --eos_id, if anything
            extra_body={} if plan.eos_id < 0 else {"stop_token_ids": [plan.eos_id]},
            **{"temperature": 0.0, **plan.sampling},
        ),
        dataset=serving.TrtllmBenchDataset(path=rows.path),
        output=serving.OutputPlan(
            percentile_metrics=("ttft", "tpot", "itl", "e2el") if plan.streaming else ("e2el",),
            metric_percentiles=(50.0, 90.0, 95.0, 99.0),
            max_failure_share=plan.output.max_failure_share,
            save_events=None if log_place is None else str(log_place),
        ),
        transport=server.transport,
    )


def _tokenizer_beside(model_path: str | None) -> str | None:
    return model_path if model_path is not None and os.path.isfile(f"{model_path}/tokenizer.json") else None


def measure_on_server(
    plan: ThroughputPlan,
    rows: BenchRows,
    *,
    on_progress: Progress | None,
    say: Say,
    ends_process: bool,
    log_place: Path | None = None,
) -> Measured:
    """Run the rows on the plan's server. Under mpirun all ranks are one client, and those other than 0 end here.

    Raises:
        UsageError: rows that cannot be sent, with the line of the file.
        MeasurementError: the server cannot be reached, or refuses the test request.
    """
    if stat.S_ISFIFO(os.stat(rows.path).st_mode):
        raise UsageError(f"--dataset must be a file with --base-url, got the pipe {rows.path}: it is read twice")
    found: list[Records] = []
    result = run_serving(
        serving_plan(plan, rows, log_place),
        on_progress=on_progress,
        say=lambda line: say(line.removeprefix("tokenclock serving: ")),
        ends_process=ends_process,
        on_records=found.append,
        keep_texts=plan.output.output_json is not None or plan.output.request_json is not None,
    )
    if not found:
        raise SystemExit(0)
    records = found[0]
    asked, server = records.columns["isl_requested"], records.columns["isl_server"]
    return Measured(result, records, np.where(server >= 0, server, asked), *_sections(plan))


def _sections(plan: ThroughputPlan) -> tuple[Mapping[str, Any], Mapping[str, Any], dict[str, str]]:
    """`engine` and `world_info`: what the user said of the server; nothing of it was asked of the server itself."""
    assert plan.server is not None
    engine = {
        "model": plan.model,
        "model_path": plan.model_path,
        "engine_dir": None,
        "version": None,
        "backend": "server",
        "dtype": None,
        "kv_cache_dtype": None,
        "quantization": None,
    }
    is_said = plan.tp is not None or plan.pp is not None
    world = {
        "tp_size": (plan.tp or 1) if is_said else None,
        "pp_size": (plan.pp or 1) if is_said else None,
        "ep_size": None,
        "world_size": plan.world_size if is_said else None,
        "max_batch_size": None,
        "max_num_tokens": None,
        "scheduling_policy": None,
        "kv_cache_percentage": None,
    }
    unknown = f"the server at {plan.server.base_url} does not tell"
    why = {f"engine.{key}": unknown for key in engine} | {f"world_info.{key}": unknown for key in world}
    why |= {f"world_info.{key}": f"{unknown}; --tp and --pp say it" for key in ("tp_size", "pp_size", "world_size")}
    why |= {
        "performance.output_throughput_per_gpu_tok_s": f"how many GPUs it has, {unknown}; --tp and --pp say it",
        "engine.model_path": "the model is the server's",
        "world_info.issue_rate": "fewer than two requests were sent",
        "request_info.avg_input_length": "neither the file nor the server counts the prompts' tokens",
    }
    return engine, world, why
