"""`tokenclock profile`: load test of an OpenAI-compatible server, in the words of genai-perf."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenclock.cli.analyze_points import SWEEP_FLAGS
from tokenclock.cli.arguments import from_environment
from tokenclock.cli.perf_analyzer_flags import read_pass_through, split_pass_through
from tokenclock.cli.profile_flags import build_parser
from tokenclock.cli.profile_inputs import dataset_of
from tokenclock.cli.profile_load import request_count, stimulus_of, windows_of
from tokenclock.cli.profile_refused import refuse_endpoint_type, refuse_profile_flags
from tokenclock.cli.profile_values import base_url, extra_body, goodput_ms
from tokenclock.cli.profile_warnings import warnings_of
from tokenclock.cli.standard_streams import draws_boxes, show
from tokenclock.errors import TokenclockError, UsageError
from tokenclock.profile_words import in_profile_words
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.plan import ServingPlan

__all__ = ["build_parser", "main", "plan_from_argv", "run_directory", "statistics_name"]

ENVIRONMENT_PREFIX = "TOKENCLOCK_PROFILE_"
_BACKENDS = {  # type of endpoint -> our name of it, and its default path
    "chat": ("openai-chat", "v1/chat/completions"),
    "completions": ("openai", "v1/completions"),
    "embeddings": ("embeddings", "v1/embeddings"),
    "rankings": ("rerank", "v1/ranking"),
    "generate": ("triton", "v2/models/{model}/generate{stream}"),
}
_DCGM = "http://localhost:9400/metrics"
_PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0)  # of the native result, beside its own


def plan_from_argv(argv: Sequence[str], environment: Mapping[str, str]) -> ServingPlan:
    """The plan of a command line. Raises UsageError with one line for anything wrong, or SystemExit after --help."""
    args, passed = _read(argv, environment)
    try:
        return _plan(args, passed, environment)
    except UsageError as error:
        raise UsageError(in_profile_words(str(error))) from error


def _read(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[argparse.Namespace, argparse.Namespace]:
    own, passed = split_pass_through(argv)
    refuse_profile_flags(own)
    parser = build_parser()
    preset = from_environment(parser, environment, ENVIRONMENT_PREFIX) if not {"-h", "--help"} & set(own) else []
    given = {name for argument in own for name in parser.names_of(argument)}  # several values would be added to them
    args = parser.read([*(flag for flag in preset if flag.partition("=")[0] not in given), *own])
    return args, read_pass_through(passed)


def _plan(args: argparse.Namespace, passed: argparse.Namespace, environment: Mapping[str, str]) -> ServingPlan:
    from tokenclock import plan
    from tokenclock.serving.endpoint import Endpoint

    refuse_endpoint_type(args.endpoint_type, args.service_kind)
    if not args.model:
        raise UsageError("--model is needed: the name the server knows its model by (GET /v1/models lists them)")
    _check_kind(args)
    (backend, _), url = _BACKENDS[args.endpoint_type], base_url(args.url)
    fields = extra_body(args.extra_inputs, chat=args.endpoint_type == "chat")
    if args.output_tokens_mean is not None and "max_tokens" in fields:
        raise UsageError("--output-tokens-mean and --extra-inputs max_tokens exclude each other: give one")
    if passed.request_distribution == "poisson" and args.request_rate is None:
        raise UsageError("--request-distribution poisson after -- needs --request-rate R, whose requests it spaces")
    is_tei = args.endpoint_type == "rankings" and fields.pop("rankings", "nim") == "tei"
    Endpoint.parse(url)
    stimulus, windows, dataset = stimulus_of(args), windows_of(args), dataset_of(args)
    tokenizer = _tokenizer(args)
    n_requests = request_count(args, stimulus, windows)
    output_dir = os.path.join(args.artifact_dir, run_directory(args))
    return plan.ServingPlan(
        command="profile",
        asked=_asked(args, url, n_requests, stimulus.concurrency),
        endpoint=plan.EndpointPlan(
            model=args.model[0],
            backend=backend,
            base_url=url,
            path=_path(args, is_tei=is_tei),
            batch_size=args.batch_size,
            rerank_style="tei" if is_tei else "nim" if backend == "rerank" else "jina",
            tokenizer=tokenizer,
            trust_remote_code=args.tokenizer_trust_remote_code,
            headers=tuple(args.header),
            api_key=environment.get("OPENAI_API_KEY") or None,
            connection=args.connection,
            lora_modules=tuple(args.model) if len(args.model) > 1 else (),
            lora_assignment=_selection(args),
        ),
        load=plan.LoadPlan(
            num_prompts=n_requests,
            request_rate=math.inf if stimulus.rate is None else stimulus.rate,
            burstiness=1.0 if stimulus.rate is None or passed.request_distribution == "poisson" else math.inf,
            max_concurrency=stimulus.concurrency,
            seed=args.random_seed,
            num_warmups=args.warmup_request_count,
            streaming=args.streaming,
            request_timeout_s=args.request_timeout,
            no_progress_timeout_s=args.no_progress_timeout,
            silence_timeout_s=args.silence_timeout,
            workers=args.workers,
            windows=windows,
            cache_bust=args.cache_bust,
        ),
        generation=plan.GenerationPlan(extra_body=fields, length_field="max_tokens"),
        dataset=dataset,
        output=plan.OutputPlan(
            percentile_metrics=("ttft", "tpot", "itl", "e2el"),
            metric_percentiles=_PERCENTILES,
            goodput_ms=goodput_ms(args.goodput),
            save_result=True,
            save_detailed=not args.no_raw_export,
            result_dir=output_dir,
            result_filename=statistics_name(args.profile_export_file),
            progress=not args.disable_tqdm,
            strict=args.strict,
            max_failure_share=args.max_failure_share,
        ),
        server=plan.ServerPlan(gpu_telemetry=args.gpu_telemetry, dcgm_urls=_dcgm_urls(args)),
        transport=plan.TransportPlan(
            unix_socket=args.unix_socket, insecure=args.insecure, cacert=args.cacert, cert=args.cert, key=args.key
        ),
    )


def _check_kind(args: argparse.Namespace) -> None:
    """Raise UsageError for flags that this type of endpoint does not have."""
    without_output = args.endpoint_type in ("embeddings", "rankings")
    for flag in ("batch_size", "batch_size_image", "batch_size_audio"):
        if getattr(args, flag) != 1 and not (flag == "batch_size" and without_output):
            name, got = "--" + flag.replace("_", "-"), getattr(args, flag)
            raise UsageError(f"{name} must be 1 with --endpoint-type {args.endpoint_type}, got {got}")
    if without_output and args.streaming:
        raise UsageError(
            f"--streaming and --endpoint-type {args.endpoint_type} exclude each other: nothing is generated"
        )
    needs_output = {
        "--output-tokens-mean": args.output_tokens_mean is not None,
        "--num-sessions": args.num_sessions,
        "--session-concurrency": args.session_concurrency is not None,
        "--goodput": any(name != "request_latency" for name, _ in args.goodput),
    }
    for flag, is_given in needs_output.items():
        if is_given and without_output:
            raise UsageError(
                f"{flag} and --endpoint-type {args.endpoint_type} exclude each other: nothing is generated"
                + ("; limit request_latency" if flag == "--goodput" else "")
            )
        if is_given and args.endpoint_type == "generate" and "session" in flag:
            raise UsageError(f"{flag} and --endpoint-type generate exclude each other: give chat or completions")


def _path(args: argparse.Namespace, *, is_tei: bool) -> str:
    default = "rerank" if is_tei else _BACKENDS[args.endpoint_type][1]
    path = args.endpoint or default.format(model=args.model[0], stream="_stream" if args.streaming else "")
    return "/" + str(path).lstrip("/")


def _dcgm_urls(args: argparse.Namespace) -> tuple[str, ...]:
    """What was given; with --verbose, which is to show GPUs, also the original's default, unless ours are watched."""
    if args.server_metrics_url:
        return tuple(dict.fromkeys(url if "://" in url else f"http://{url}" for url in args.server_metrics_url))
    return (_DCGM,) if args.verbose and not args.gpu_telemetry else ()


def _selection(args: argparse.Namespace) -> str:
    strategies = {"round_robin": "round-robin", "random": "random"}
    if args.model_selection_strategy not in strategies:
        raise UsageError(
            f"--model-selection-strategy must be round_robin or random, got {args.model_selection_strategy}"
        )
    return strategies[args.model_selection_strategy]


def _tokenizer(args: argparse.Namespace) -> str | None:
    """A directory; of a hub's name ORG/MODEL the files in the hub's cache here, None without; else a path as given."""
    name = args.tokenizer
    if name is None or os.path.isdir(name) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        return name if name is None else str(name)
    from tokenclock.workload.hub_cache import cached_snapshot

    found = cached_snapshot(name, args.tokenizer_revision, os.environ)
    organisation, slash, model = name.partition("/")
    is_hub_name = name in args.model or (bool(slash and model) and not os.path.exists(organisation))
    return found or (None if is_hub_name else str(name))  # what is no name of a hub's is a path, mistyped


def statistics_name(export_file: str) -> str:
    """The file of statistics that goes with a file of requests: ``a.json`` -> ``a_genai_perf.json``."""
    if not export_file or os.path.dirname(export_file):
        raise UsageError(f"--profile-export-file must be a file name, got {export_file!r}; --artifact-dir says where")
    stem, suffix = os.path.splitext(export_file)
    return f"{stem if suffix == '.json' else export_file}_genai_perf.json"


def run_directory(args: argparse.Namespace) -> str:
    """Name of the run's directory: model, kind of endpoint, stimulus."""
    model = args.model[0].replace("/", "_") + ("_multi" if len(args.model) > 1 else "")
    return f"{model}-openai-{args.endpoint_type}-{stimulus_of(args).name}"


def _asked(args: argparse.Namespace, url: str, n_requests: int, concurrency: int | None) -> dict[str, Any]:
    """The configuration as genai-perf's file shows it, secrets masked."""
    asked = dict(vars(args)) | {"url": url, "request_count": n_requests, "concurrency": concurrency}
    asked["service_kind"] = "openai"
    asked["header"] = [f"{name}: ***" for name, _ in args.header]
    asked["goodput"] = dict(args.goodput) or None
    asked["extra_inputs"] = {name: value for fields in args.extra_inputs for name, value in fields.items()} or None
    return asked


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code. Raises TokenclockError for what ends it early."""
    if any(argument.partition("=")[0] in SWEEP_FLAGS for argument in argv):
        from tokenclock.cli.analyze import main as sweep

        return sweep(argv)
    args, passed = _read(argv, os.environ)
    try:
        return _main(args, passed)
    except TokenclockError as error:
        raise type(error)(in_profile_words(str(error))) from error


def _main(args: argparse.Namespace, passed: argparse.Namespace) -> int:
    plan = _plan(args, passed, os.environ)
    from tokenclock.cli.serving import exit_code
    from tokenclock.parallel import connect

    world = connect()
    say = _Sayer(warnings_of(args, passed, plan) if world.rank == 0 else [])
    from tokenclock.report import genai_perf_table, genai_perf_telemetry, gpu_section, quality_block
    from tokenclock.report.console_live import progress_bar
    from tokenclock.run import run_serving

    saved: list[bool] = []
    with progress_bar(enabled=plan.output.progress and world.rank == 0) as on_progress:
        result = run_serving(plan, on_progress=on_progress, say=say, ends_process=True, on_saved=saved.append)
    if world.rank != 0:
        return 0
    say.say_what_waits()
    table = genai_perf_table.render(result, ascii_only=not draws_boxes())
    telemetry = result.faces["profile"]["telemetry"] if args.verbose else None
    gpus = [] if telemetry is None else [genai_perf_telemetry.render(telemetry, ascii_only=not draws_boxes())]
    gpus += [] if result.gpu is None else [gpu_section.render(result.gpu)]
    show("tokenclock profile", table, *gpus, in_profile_words(quality_block.render(result)))
    return exit_code(plan, result) or int(not all(saved))


class _Sayer:
    """Says what the engine says, in the words of `profile`. What the flags themselves call for waits for its first line
    or the end: a run that cannot begin is one line, its reason."""

    def __init__(self, waiting: list[str]) -> None:
        self._waiting = waiting

    def __call__(self, line: str) -> None:
        self.say_what_waits()
        say_on_stderr(in_profile_words(line))

    def say_what_waits(self) -> None:
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            say_on_stderr(f"tokenclock profile: {line}")
