"""`tokenclock serving`: load test of an OpenAI-compatible server, in the words of benchmark_serving."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenclock.cli.arguments import from_environment
from tokenclock.cli.dataset_flags import dataset_of, unused_flags
from tokenclock.cli.idle_flags import idle_flags
from tokenclock.cli.not_built import refuse_flags
from tokenclock.cli.serving_flags import build_parser
from tokenclock.cli.standard_streams import show
from tokenclock.errors import UsageError
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.plan import Dataset, RampUp, ServingPlan
    from tokenclock.result import Result

__all__ = ["build_parser", "exit_code", "main", "plan_from_args", "plan_from_argv"]

ENVIRONMENT_PREFIX = "TOKENCLOCK_SERVING_"
_ALIASES = {"openai-embeddings": "embeddings", "vllm-rerank": "rerank", "tensorrt-llm": "triton"}
_PATHS = {
    "openai-chat": "/v1/chat/completions",
    "embeddings": "/v1/embeddings",
    "rerank": "/v1/rerank",
    "responses": "/v1/responses",
}
_IN_ONE_PIECE = ("embeddings", "rerank")
_DOCUMENTS = 10  # of a ranking


def plan_from_argv(argv: Sequence[str], environment: Mapping[str, str]) -> ServingPlan:
    """The plan of a command line. Raises UsageError with one line for anything wrong, or SystemExit after --help."""
    return plan_from_args(_read(argv, environment), environment)


def _read(argv: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    refuse_flags(argv)
    parser = build_parser()
    preset = from_environment(parser, environment, ENVIRONMENT_PREFIX) if not {"-h", "--help"} & set(argv) else []
    typed = {argument.partition("=")[0] for argument in argv}  # a flag that takes several values would add to them
    return parser.read([*(flag for flag in preset if flag.partition("=")[0] not in typed), *argv])


def plan_from_args(args: argparse.Namespace, environment: Mapping[str, str]) -> ServingPlan:
    """The plan of parsed flags; `environment` is asked for OPENAI_API_KEY only."""
    from tokenclock import plan
    from tokenclock.serving.endpoint import Endpoint

    dataset, backend = dataset_of(args), _ALIASES.get(args.backend, args.backend)
    if not args.model:
        raise UsageError("--model is needed: the name the server knows its model by (GET /v1/models lists them)")
    if args.base_url == "":
        raise UsageError("--base-url must be http://HOST:PORT or https://HOST:PORT, got ''; leave it out for --host")
    base_url = args.base_url or (_base_url(args.host, args.port) if args.unix_socket is None else "http://localhost")
    Endpoint.parse(base_url)
    for name in ("mistral", "custom"):
        if args.tokenizer_mode == name:
            raise UsageError(f"--tokenizer-mode {name} is not built yet; use auto with a directory's tokenizer.json")
    return plan.ServingPlan(
        endpoint=plan.EndpointPlan(
            model=args.model,
            backend=backend,
            base_url=base_url,
            path=_path(backend, args.endpoint, streaming=not args.non_streaming),
            served_model_name=args.served_model_name,
            tokenizer=args.tokenizer,
            tokenizer_mode=args.tokenizer_mode,
            trust_remote_code=args.trust_remote_code,
            headers=tuple(args.header),
            api_key=environment.get("OPENAI_API_KEY") or None,
            connection=args.connection,
            lora_modules=tuple(args.lora_modules),
            lora_assignment=args.lora_assignment,
            lora_zipf=args.lora_zipf_alpha,
            batch_size=_DOCUMENTS if args.batch_size is None and backend == "rerank" else args.batch_size or 1,
            rerank_style=args.rerank_style,
        ),
        load=plan.LoadPlan(
            num_prompts=_num_prompts(args, dataset),
            request_rate=args.request_rate,
            burstiness=args.burstiness,
            max_concurrency=args.max_concurrency,
            seed=args.seed,
            test_input=not args.no_test_input,
            num_warmups=args.num_warmups,
            ready_check_timeout_s=args.ready_check_timeout_sec,
            streaming=not args.non_streaming and backend not in _IN_ONE_PIECE,
            request_timeout_s=args.request_timeout,
            no_progress_timeout_s=args.no_progress_timeout,
            silence_timeout_s=args.silence_timeout,
            workers=args.workers,
            ramp_up=_ramp_up(args),
            ramp_up_s=args.ramp_up_seconds,
            probe_request_rate=args.probe_request_rate,
            cache_bust=args.cache_bust,
            request_id_prefix=args.request_id_prefix,
        ),
        generation=plan.GenerationPlan(
            ignore_eos=args.ignore_eos,
            logprobs=args.logprobs,
            temperature=args.temperature,
            top_p=args.top_p,
            top_k=args.top_k,
            min_p=args.min_p,
            frequency_penalty=args.frequency_penalty,
            presence_penalty=args.presence_penalty,
            repetition_penalty=args.repetition_penalty,
            chat_template_kwargs=_chat_template_kwargs(args),
            extra_body=args.extra_body,
        ),
        dataset=dataset,
        output=plan.OutputPlan(
            percentile_metrics=_latencies(args, backend),
            metric_percentiles=(99.0,) if args.metric_percentiles is None else args.metric_percentiles,
            percentiles_named=args.metric_percentiles is not None,
            goodput_ms=_each_once("--goodput", args.goodput),
            save_result=args.save_result,
            save_detailed=args.save_detailed,
            save_columns=not args.no_save_columns,
            plot_timeline=_plot_timeline(args),
            save_events=args.save_events,
            result_dir=args.result_dir,
            result_filename=args.result_filename,
            append_result=args.append_result,
            label=args.label,
            metadata=_each_once("--metadata", args.metadata),
            console=args.console,
            intervals=args.intervals,
            progress=not args.disable_tqdm,
            strict=args.strict,
            max_failure_share=args.max_failure_share,
        ),
        server=plan.ServerPlan(
            reset_cache=_reset_cache(args),
            profile=args.profile,
            time_breakdown=args.save_request_time_breakdown,
            gpu_telemetry=args.gpu_telemetry,
        ),
        transport=plan.TransportPlan(
            unix_socket=args.unix_socket, insecure=args.insecure, cacert=args.cacert, cert=args.cert, key=args.key
        ),
    )


def _each_once(flag: str, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise UsageError(f"{flag} must name {key} once, got it twice; leave one out")
        values[key] = value
    return values


def _ramp_up(args: argparse.Namespace) -> RampUp | None:
    from tokenclock.plan import RampUp

    rates = (args.ramp_up_start_rps, args.ramp_up_end_rps)
    if args.ramp_up_strategy is None:
        if any(rate is not None for rate in rates):
            raise UsageError("--ramp-up-start-rps and --ramp-up-end-rps need --ramp-up-strategy linear or exponential")
        return None
    if None in rates:
        raise UsageError("--ramp-up-strategy needs both --ramp-up-start-rps and --ramp-up-end-rps, in requests/s")
    return RampUp(args.ramp_up_strategy, *rates)


def _chat_template_kwargs(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.chat_template_kwargs is not None and args.backend != "openai-chat":
        raise UsageError("--chat-template-kwargs needs --backend openai-chat: completions have no chat template")
    kwargs: dict[str, Any] | None = args.chat_template_kwargs
    return kwargs


def _plot_timeline(args: argparse.Namespace) -> bool:
    """Whether to draw; what it needs is asked for before the run, not missed after it."""
    import importlib.util

    if args.plot_timeline and args.save_result and importlib.util.find_spec("plotly") is None:
        raise UsageError("--plot-timeline needs plotly: pip install 'tokenclock[report]'")
    return bool(args.plot_timeline)


def _reset_cache(args: argparse.Namespace) -> str | None:
    if args.flush_cache and args.reset_prefix_cache:
        raise UsageError("--flush-cache is SGLang's and --reset-prefix-cache vLLM's: give the one your server knows")
    return "flush_cache" if args.flush_cache else "reset_prefix_cache" if args.reset_prefix_cache else None


def _base_url(host: str, port: int) -> str:
    if not 1 <= port <= 65535:
        raise UsageError(f"--port must be in 1..65535, got {port}")
    if not host or "/" in host:
        raise UsageError(f"--host must be a name or an address, got {host or repr(host)}; a URL goes to --base-url")
    return f"http://[{host.strip('[]')}]:{port}" if ":" in host else f"http://{host}:{port}"


def _path(backend: str, asked: str | None, *, streaming: bool) -> str:
    """The path asked for; other backends turn the completions path, which scripts name for all, into their own."""
    if asked not in (None, "/v1/completions"):
        return str(asked)
    if backend == "triton":
        return "/v2/models/ensemble/generate_stream" if streaming else "/v2/models/ensemble/generate"
    return _PATHS.get(backend, "/v1/completions")


def _num_prompts(args: argparse.Namespace, dataset: Dataset) -> int:
    if args.num_prompts is not None:
        return int(args.num_prompts)
    from tokenclock.plan import MOST_REQUESTS

    return MOST_REQUESTS if dataset.name == "trace" else 1000


def _latencies(args: argparse.Namespace, backend: str) -> tuple[str, ...]:
    """What to report: of answers in one piece there is no other latency than the whole."""
    asked: tuple[str, ...] = args.percentile_metrics
    return ("e2el",) if backend in _IN_ONE_PIECE and asked == ("ttft", "tpot", "itl") else asked


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code. Raises TokenclockError for what ends it early."""
    args = _read(argv, os.environ)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's threads cost more to start than they could save here
    plan = plan_from_args(args, os.environ)
    from tokenclock.parallel import connect

    world = connect()
    if world.rank == 0:
        _say_idle_flags(args, plan)
    from tokenclock.report.console_live import progress_bar
    from tokenclock.run import run_serving

    bar = plan.output.progress and world.rank == 0
    saved: list[bool] = []
    with progress_bar(enabled=bar) as on_progress:
        result = run_serving(plan, on_progress=on_progress, ends_process=True, on_saved=saved.append)
    if world.rank != 0:
        return 0
    from tokenclock.report import gpu_section, interval_block, quality_block, serving_table, steady_block

    table = serving_table.render(result, full=plan.output.console == "full")
    gpus = [] if result.gpu is None else [gpu_section.render(result.gpu)]
    blocks = [steady_block.render(result), *([interval_block.render(result)] if plan.output.intervals else []), *gpus]
    show("tokenclock serving", table, *blocks, quality_block.render(result))
    return exit_code(plan, result) or int(not all(saved))


def _say_idle_flags(args: argparse.Namespace, plan: ServingPlan) -> None:
    for flag in unused_flags(args, plan.dataset.name):
        say_on_stderr(f"tokenclock serving: {flag} is of no use to --dataset-name {plan.dataset.name}")
    for line in idle_flags(plan):
        say_on_stderr(f"tokenclock serving: {line}")


def exit_code(plan: ServingPlan, result: Result) -> int:
    """0 measured, 1 nothing measured, 3 a gate was missed, 130 interrupted; each gate that was missed is said."""
    if result.incomplete:
        return 130
    requests = result.requests
    if requests["ok"] == 0:
        return 1
    code = 0
    share = requests["failed"] / requests["scheduled"]
    if share > plan.output.max_failure_share:
        limit = plan.output.max_failure_share
        say_on_stderr(
            f"tokenclock {plan.command}: {requests['failed']} of {requests['scheduled']} requests failed, "
            f"more than --max-failure-share {limit:g} allows"
        )
        code = 3
    if plan.output.strict and result.quality.status != "ok":
        say_on_stderr(f"tokenclock {plan.command}: --strict: the measurement is {result.quality.verdict}")
        code = 3
    return code
