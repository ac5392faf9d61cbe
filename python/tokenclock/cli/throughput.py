"""`tokenclock throughput` and `tokenclock latency`: a data set's requests, in the words of trtllm-bench."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenclock.cli.arguments import CommandParser, from_environment
from tokenclock.cli.group_options import GroupOptions
from tokenclock.cli.standard_streams import show
from tokenclock.cli.throughput_flags import build_parser as parser_of
from tokenclock.cli.throughput_refused import idle_flags, refuse_flags
from tokenclock.errors import TokenclockError, UsageError
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.plan_throughput import BenchRuntime, BenchServer, ThroughputPlan
    from tokenclock.result import Result

__all__ = ["build_parser", "exit_code", "main", "plan_from_args", "plan_from_argv", "run"]

_BACKENDS = {"pytorch": "trtllm-llm", "tensorrt": "trtllm-engine"}


def build_parser() -> CommandParser:
    """The parser of `throughput`, for its man page."""
    return parser_of("throughput")


def main(argv: Sequence[str], group: GroupOptions | None = None) -> int:
    """Run `throughput`; returns its exit code. Raises TokenclockError for what ends it early."""
    return run("throughput", argv, group or GroupOptions())


def run(command: str, argv: Sequence[str], group: GroupOptions) -> int:
    """Run `throughput` or `latency`."""
    if "--external" in argv:
        return _external(command, [word for word in argv if word != "--external"], group)
    args = _read(command, argv, group, os.environ)
    plan = plan_from_args(command, args, os.environ)
    from tokenclock.parallel import connect

    is_first = connect().rank == 0
    if is_first:
        for line in idle_flags(args, plan):
            say_on_stderr(f"tokenclock {command}: {line}")
    from tokenclock.report import gpu_section, quality_block, trtllm_bench_log
    from tokenclock.report.console_live import progress_bar
    from tokenclock.throughput.run import run_throughput

    saved: list[bool] = []
    try:
        with progress_bar(enabled=plan.output.progress and is_first) as on_progress:
            result = run_throughput(plan, on_progress=on_progress, ends_process=True, on_saved=saved.append)
    except TokenclockError as error:  # the client names the flags of `serving`
        raise type(error)(str(error).replace("--base-url, --host, --port", "--base-url")) from error
    if not is_first:
        return 0
    face = result.faces["trtllm_bench"]
    quality = quality_block.render(result, percentile_rule=face["percentile_rule"])
    has_gpus = result.gpu is not None and result.gpu["usage"]["per_device"]
    gpus = [gpu_section.render(result.gpu)] if result.gpu is not None and has_gpus else []
    show(f"tokenclock {command}", trtllm_bench_log.render(face), *gpus, quality)
    return exit_code(plan, result) or int(not all(saved))


def _external(command: str, argv: Sequence[str], group: GroupOptions) -> int:
    """trtllm-bench itself, with the words as they are; its log goes to standard output as it comes."""
    from tokenclock.cli.build import group_words
    from tokenclock.throughput.external import run_external

    return run_external(
        [*group_words(group), command, *argv],
        write=lambda line: print(line, flush=True),
        say=lambda line: say_on_stderr(f"tokenclock {command}: {line}"),
    )


def plan_from_argv(
    command: str, argv: Sequence[str], environment: Mapping[str, str], group: GroupOptions | None = None
) -> ThroughputPlan:
    """The plan of a command line. Raises UsageError with one line for anything wrong, or SystemExit after --help."""
    return plan_from_args(command, _read(command, argv, group or GroupOptions(), environment), environment)


def _read(command: str, argv: Sequence[str], group: GroupOptions, environment: Mapping[str, str]) -> argparse.Namespace:
    refuse_flags(command, argv)
    parser = parser_of(command)
    asks_help = bool({"-h", "--help"} & set(argv))
    preset = [] if asks_help else from_environment(parser, environment, f"TOKENCLOCK_{command.upper()}_")
    args = parser.read([*preset, *argv])
    for name in ("model", "model_path", "workspace", "log_level", "revision"):
        before, after = getattr(group, name), getattr(args, name)
        if before is not None and after is not None and before != after:
            raise UsageError(f"--{name} must be given once, got {before} before the command and {after} after it")
        setattr(args, name, after if before is None else before)
    return args


def plan_from_args(command: str, args: argparse.Namespace, environment: Mapping[str, str]) -> ThroughputPlan:
    """The plan of parsed flags; `environment` is asked for OPENAI_API_KEY only."""
    from tokenclock import plan_throughput as plan
    from tokenclock.throughput.sampler_options import read_sampler_options

    if not args.model:
        raise UsageError(
            f"--model is needed: tokenclock --model NAME {command} ...; a model's name, its directory, or tiny:llama"
        )
    if not args.dataset:
        raise UsageError("--dataset is needed: a file of JSON lines, such as `tokenclock prepare-dataset` writes")
    is_latency = command == "latency"
    return plan.ThroughputPlan(
        model=args.model,
        dataset=args.dataset,
        runtime=None if args.base_url else _runtime(args, is_latency),
        server=_server(args, environment) if args.base_url else None,
        command=command,
        model_path=args.model_path,
        tokenizer=args.tokenizer,
        num_requests=args.num_requests,
        concurrency=args.concurrency if args.concurrency > 0 else None,
        warmup=args.warmup,
        streaming=(args.beam_width == 1) if is_latency else args.streaming,
        eos_id=-1 if is_latency else args.eos_id,
        beam_width=args.beam_width,
        sampling={} if args.sampler_options is None else read_sampler_options(args.sampler_options),
        tp=args.tp,
        pp=args.pp,
        seed=args.seed,
        output=plan.BenchOutput(
            report_json=args.report_json,
            request_json=args.request_json,
            output_json=args.output_json,
            iteration_log=args.iteration_log,
            save_events=args.save_events,
            save_columns=not args.no_save_columns,
            progress=not args.disable_tqdm,
            strict=args.strict,
            max_failure_share=args.max_failure_share,
        ),
    )


def _runtime(args: argparse.Namespace, is_latency: bool) -> BenchRuntime:
    from tokenclock.plan_throughput import BenchRuntime

    if args.base_url == "":
        raise UsageError("--base-url must be http(s)://HOST[:PORT], got ''; leave it out for a runtime in this process")
    runtime = args.runtime
    if args.backend is not None:
        if args.backend not in _BACKENDS:
            why = "AutoDeploy is no runtime of tokenclock" if args.backend == "_autodeploy" else "no such backend"
            raise UsageError(f"--backend must be {' or '.join(_BACKENDS)}, got {args.backend} ({why})")
        runtime = runtime or _BACKENDS[args.backend]
        _require_installed(args.backend, runtime, named=args.runtime is not None)
    directory = args.engine_dir or args.model_path or args.model
    if runtime != "null" and not (os.path.isdir(directory) or directory.startswith("tiny:")):
        where = "--engine_dir" if args.engine_dir else "--model_path" if args.model_path else "--model"
        given = "is a name and no directory" if where == "--model" else "is no directory"
        raise UsageError(
            f"{where} {directory} {given}: give --model_path DIR, --model tiny:llama to try things out, or --base-url "
            "URL of a server; tokenclock never downloads models"
        )
    return BenchRuntime(
        directory=directory,
        runtime=runtime,
        dtype=args.dtype or "float16",
        dtype_named=args.dtype is not None,
        device=args.device,
        threads=args.threads,
        ep=args.ep,
        max_batch_size=max(args.concurrency, 1) if is_latency else args.max_batch_size,
        max_num_tokens=None if is_latency else args.max_num_tokens,
        max_seq_len=args.max_seq_len,
        kv_cache_share=args.kv_cache_free_gpu_mem_fraction,
        chunked_context=False if is_latency else args.chunked_context,
        scheduler_policy=None if is_latency else args.scheduler_policy,
        extra_llm_api_options=args.extra_llm_api_options,
        strict_options=args.strict_options,
        gpu_sampling_interval_ms=10.0 if args.gpu_sampling_interval is None else args.gpu_sampling_interval,
    )


def _require_installed(backend: str, runtime: str, *, named: bool) -> None:
    """Said before the model is looked at: what is missing is the runtime, whatever the directory holds."""
    if named:
        return
    from tokenclock.errors import MeasurementError
    from tokenclock.runtime import trtllm_package

    if not trtllm_package.is_installed():
        raise MeasurementError(
            f"--backend {backend} is --runtime {runtime}, and TensorRT-LLM is not installed: pip install "
            "'tokenclock[trtllm]', name another --runtime (ctranslate2), or give --base-url URL of a server"
        )


def _server(args: argparse.Namespace, environment: Mapping[str, str]) -> BenchServer:
    from tokenclock.plan_throughput import BenchServer
    from tokenclock.plan_transport import TransportPlan
    from tokenclock.serving.endpoint import Endpoint

    Endpoint.parse(args.base_url)
    if args.runtime is not None:
        raise UsageError("--runtime and --base-url exclude each other: a runtime in this process, or a server")
    return BenchServer(
        base_url=args.base_url,
        served_model_name=args.served_model_name,
        headers=tuple(args.header),
        api_key=environment.get("OPENAI_API_KEY") or None,
        request_timeout_s=args.request_timeout,
        no_progress_timeout_s=args.no_progress_timeout,
        silence_timeout_s=args.silence_timeout,
        cache_bust=args.cache_bust,
        transport=TransportPlan(
            unix_socket=args.unix_socket, insecure=args.insecure, cacert=args.cacert, cert=args.cert, key=args.key
        ),
    )


def exit_code(plan: ThroughputPlan, result: Result) -> int:
    """0 measured, 1 nothing measured, 3 a gate was missed, 130 interrupted; each gate that was missed is said."""

    def say(line: str) -> None:
        say_on_stderr(f"tokenclock {plan.command}: {line}")

    if result.incomplete:
        return 130
    requests: Mapping[str, Any] = result.requests
    if requests["ok"] == 0:
        return 1
    code, limit = 0, plan.output.max_failure_share
    if requests["failed"] / requests["scheduled"] > limit:
        say(
            f"{requests['failed']} of {requests['scheduled']} requests failed, more than --max-failure-share {limit:g} "
            "allows"
        )
        code = 3
    if plan.output.strict and result.quality.status != "ok":
        say(f"--strict: the measurement is {result.quality.verdict}")
        code = 3
    return code
