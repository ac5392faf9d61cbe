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
from tokenclock.cli.profile_refused import refuse_endpoint_type, refuse_profile_flags
from tokenclock.cli.profile_values import base_url, extra_body, goodput_ms
from tokenclock.cli.profile_words import in_profile_words
from tokenclock.cli.standard_streams import draws_boxes, show
from tokenclock.errors import TokenclockError, UsageError
from tokenclock.plan_windows import MOST_WINDOWS
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.plan import InputFileDataset, ServingPlan, SyntheticDataset, WindowPlan

__all__ = ["build_parser", "main", "plan_from_argv", "run_directory", "statistics_name"]

ENVIRONMENT_PREFIX = "TOKENCLOCK_PROFILE_"
_OF_SYNTHETIC = (
    ("--synthetic-input-tokens-mean", "synthetic_input_tokens_mean", 550.0),
    ("--synthetic-input-tokens-stddev", "synthetic_input_tokens_stddev", 0.0),
    ("--num-dataset-entries", "num_dataset_entries", 100),
    ("--prefix-prompt-length", "prefix_prompt_length", 100),
    ("--vocab-size", "vocab_size", None),
)
_BACKENDS = {  # type of endpoint -> our name of it, and its default path
    "chat": ("openai-chat", "v1/chat/completions"),
    "completions": ("openai", "v1/completions"),
    "embeddings": ("embeddings", "v1/embeddings"),
    "rankings": ("rerank", "v1/ranking"),
    "generate": ("triton", "v2/models/{model}/generate{stream}"),
}
_SHORTEST_REPLY_S = 0.002  # no faster server is planned for where a run ends by time
_MOST_OF_WINDOWS = 400_000
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
    is_tei = args.endpoint_type == "rankings" and fields.pop("rankings", "nim") == "tei"
    Endpoint.parse(url)
    concurrency, rate = _stimulus(args)
    tokenizer = _tokenizer(args)
    windows = _windows(args)
    n_requests = _request_count(args, concurrency, rate, windows)
    output_dir = os.path.join(args.artifact_dir, run_directory(args))
    return plan.ServingPlan(
        command="profile",
        asked=_asked(args, url, n_requests, concurrency),
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
            request_rate=math.inf if rate is None else rate,
            burstiness=1.0 if rate is None or passed.request_distribution == "poisson" else math.inf,
            max_concurrency=concurrency,
            seed=args.random_seed,
            num_warmups=args.warmup_request_count,
            streaming=args.streaming,
            request_timeout_s=args.request_timeout,
            no_progress_timeout_s=args.no_progress_timeout,
            workers=args.workers,
            windows=windows,
        ),
        generation=plan.GenerationPlan(extra_body=fields, length_field="max_tokens"),
        dataset=_dataset(args),
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
    if without_output and args.output_tokens_mean is not None:
        raise UsageError(f"--output-tokens-mean must be left out with --endpoint-type {args.endpoint_type}")


def _path(args: argparse.Namespace, *, is_tei: bool) -> str:
    default = "rerank" if is_tei else _BACKENDS[args.endpoint_type][1]
    path = args.endpoint or default.format(model=args.model[0], stream="_stream" if args.streaming else "")
    return "/" + str(path).lstrip("/")


def _stimulus(args: argparse.Namespace) -> tuple[int | None, float | None]:
    """Concurrency and rate, one of which is None."""
    if args.concurrency is not None and args.request_rate is not None:
        raise UsageError("--concurrency and --request-rate exclude each other: give one")
    if args.request_rate is not None:
        if not 0 < args.request_rate < math.inf:
            raise UsageError(f"--request-rate must be requests per second > 0, got {args.request_rate:g}")
        return None, float(args.request_rate)
    concurrency = 1 if args.concurrency is None else args.concurrency
    if concurrency < 1:
        raise UsageError(f"--concurrency must be a whole number >= 1, got {concurrency}")
    return concurrency, None


def _windows(args: argparse.Namespace) -> WindowPlan | None:
    from tokenclock.plan import WindowPlan

    if args.measurement_interval is None:
        return None
    if args.request_count is not None:
        raise UsageError("--request-count and --measurement-interval exclude each other: end by a number or by time")
    return WindowPlan(args.measurement_interval / 1000, args.stability_percentage)


def _request_count(
    args: argparse.Namespace, concurrency: int | None, rate: float | None, windows: WindowPlan | None
) -> int:
    """Requests of the run; where it ends by time, the most that can be sent until then."""
    if args.request_count is not None:
        return int(args.request_count)
    if windows is None:
        return max(10, 2 * (concurrency or 1))
    longest_s = windows.interval_s * MOST_WINDOWS
    wanted = rate * longest_s + 1 if rate is not None else (concurrency or 1) * longest_s / _SHORTEST_REPLY_S
    return max(10, math.ceil(min(wanted, _MOST_OF_WINDOWS)))


def _dataset(args: argparse.Namespace) -> SyntheticDataset | InputFileDataset:
    from tokenclock import plan

    if args.input_file is not None:
        return plan.InputFileDataset(
            path=_input_path(args), output_mean=args.output_tokens_mean, output_stddev=args.output_tokens_stddev
        )
    return plan.SyntheticDataset(
        n_entries=args.num_dataset_entries * _texts_of(args),
        input_mean=args.synthetic_input_tokens_mean,
        input_stddev=args.synthetic_input_tokens_stddev,
        output_mean=args.output_tokens_mean,
        output_stddev=args.output_tokens_stddev,
        n_prefixes=args.num_prefix_prompts,
        prefix_len=args.prefix_prompt_length,
        vocab_size=args.vocab_size,
    )


def _texts_of(args: argparse.Namespace) -> int:
    """Texts of one request, so that as many requests differ as there are entries."""
    batch_size: int = args.batch_size
    return batch_size + int(args.endpoint_type == "rankings")


def _input_path(args: argparse.Namespace) -> str:
    path: str = args.input_file
    kind = path.partition(":")[0] if not os.path.exists(path) else ""
    if kind == "synthetic":
        raise UsageError("--input-file synthetic: is refused: it joins files for images and embeddings, not built here")
    if kind == "payload":
        raise UsageError(
            "--input-file payload: is refused: traces are not built here; `tokenclock serving` replays traces"
        )
    if os.path.isdir(path):
        raise UsageError(f"--input-file must be a file of JSON lines, got the directory {path}")
    if args.num_prefix_prompts:
        raise UsageError("--num-prefix-prompts and --input-file exclude each other: write the beginning into the file")
    return path


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
    """A directory; where a hub's name was given and its files lie in the hub's cache here, theirs; else None."""
    name = args.tokenizer
    if name is None or os.path.isdir(name) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        return name if name is None else str(name)
    from tokenclock.workload.hub_cache import cached_snapshot

    return cached_snapshot(name, args.tokenizer_revision, os.environ)


def statistics_name(export_file: str) -> str:
    """The file of statistics that goes with a file of requests: ``a.json`` -> ``a_genai_perf.json``."""
    if not export_file or os.path.dirname(export_file):
        raise UsageError(f"--profile-export-file must be a file name, got {export_file!r}; --artifact-dir says where")
    stem, suffix = os.path.splitext(export_file)
    return f"{stem if suffix == '.json' else export_file}_genai_perf.json"


def run_directory(args: argparse.Namespace) -> str:
    """Name of the run's directory: model, kind of endpoint, stimulus."""
    model = args.model[0].replace("/", "_") + ("_multi" if len(args.model) > 1 else "")
    concurrency, rate = _stimulus(args)
    stimulus = f"concurrency{concurrency}" if rate is None else f"request_rate{rate}"
    return f"{model}-openai-{args.endpoint_type}-{stimulus}"


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
    if world.rank == 0:
        for line in _warnings(args, passed, plan):
            say_on_stderr(f"tokenclock profile: {line}")
    from tokenclock.report import genai_perf_table, genai_perf_telemetry, gpu_section, quality_block
    from tokenclock.report.console_live import progress_bar
    from tokenclock.run import run_serving

    with progress_bar(enabled=plan.output.progress and world.rank == 0) as on_progress:
        result = run_serving(plan, on_progress=on_progress, say=_say, ends_process=True)
    if world.rank != 0:
        return 0
    table = genai_perf_table.render(result, ascii_only=not draws_boxes())
    telemetry = result.faces["profile"]["telemetry"] if args.verbose else None
    gpus = [] if telemetry is None else [genai_perf_telemetry.render(telemetry, ascii_only=not draws_boxes())]
    gpus += [] if result.gpu is None else [gpu_section.render(result.gpu)]
    show("tokenclock profile", table, *gpus, in_profile_words(quality_block.render(result)))
    return exit_code(plan, result)


def _say(line: str) -> None:
    say_on_stderr(in_profile_words(line))


def _warnings(args: argparse.Namespace, passed: argparse.Namespace, plan: ServingPlan) -> list[str]:
    """What a user should know of these flags before the run, one line each."""
    lines = []
    if not args.streaming and plan.endpoint.generates:
        lines.append(
            "no --streaming: whole answers show no token times, so there are no rows of time to first token, time to "
            "second token, inter token latency and throughput per user; give --streaming for them"
        )
        limits = [name for name, _ in args.goodput if name != "request_latency"]
        if limits:
            lines.append(f"--goodput {', '.join(limits)} is N/A without --streaming; limit request_latency, or give it")
    if args.input_file is None and plan.load.windows is None and args.num_dataset_entries < plan.load.num_prompts:
        lines.append(
            f"--num-prompts {args.num_dataset_entries} is less than --request-count {plan.load.num_prompts}: prompts "
            "are sent more than once, which a prefix cache answers faster; raise --num-prompts for unique ones"
        )
    if args.output_tokens_mean is not None and "ignore_eos" not in plan.generation.extra_body:
        lines.append(
            "--output-tokens-mean is a limit: an answer may end earlier; --extra-inputs ignore_eos:true makes servers "
            "that know it go on (the quality block shows asked against got)"
        )
    if args.tokenizer is not None and plan.endpoint.tokenizer is None:
        lines.append(
            f"--tokenizer {args.tokenizer} is no directory and not in the hub's cache on this machine; nothing is "
            "downloaded: prompts are made without it"
        )
    if args.backend is not None:
        lines.append(f"--backend {args.backend} changes nothing: it tells forms of KServe apart")
    if args.generate_plots:
        lines.append(
            "--generate-plots draws nothing here: `tokenclock report --html FILE RESULT` makes a page of plots"
        )
    if passed.max_threads is not None:
        lines.append(
            "--max-threads changes nothing: the client needs no thread per request; --workers sets its threads"
        )
    if args.input_file is not None:
        given = [flag for flag, value, default in _OF_SYNTHETIC if getattr(args, value) != default]
        lines += [f"{flag} changes nothing with --input-file" for flag in given]
    if args.stability_percentage != 999.0 and plan.load.windows is None:
        lines.append("--stability-percentage changes nothing with --request-count: one window, as in the original")
    return lines
