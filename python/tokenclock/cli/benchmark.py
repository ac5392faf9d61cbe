"""`tokenclock benchmark`: offline timing of a model runtime, in the words of TensorRT-LLM's benchmark.py."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import from_environment
from tokenclock.cli.benchmark_flags import build_parser, refuse_old_flags
from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.plan_benchmark import BenchmarkPlan

__all__ = ["build_parser", "main", "plan_from_args", "plan_from_argv"]

ENVIRONMENT_PREFIX = "TOKENCLOCK_BENCHMARK_"


def plan_from_argv(argv: Sequence[str], environment: Mapping[str, str]) -> BenchmarkPlan:
    """The plan of a command line. Raises UsageError with one line for anything wrong, or SystemExit after --help."""
    return plan_from_args(_read(argv, environment))


def _read(argv: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    refuse_old_flags(argv)
    parser = build_parser()
    asks_help = bool({"-h", "--help"} & set(argv))
    preset = [] if asks_help else from_environment(parser, environment, ENVIRONMENT_PREFIX)
    return parser.read([*preset, *_joined(argv)])


def _joined(argv: Sequence[str]) -> list[str]:
    """A list that begins with a minus, as in ``--batch_size "-1;8"``, joined to its flag: argparse would take it for a
    flag of its own, and say something else than what is wrong with it."""
    joined: list[str] = []
    for argument in argv:
        if joined and joined[-1].startswith("--") and "=" not in joined[-1] and re.match(r"-[0-9.]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def plan_from_args(args: argparse.Namespace) -> BenchmarkPlan:
    """The plan of parsed flags. Raises UsageError."""
    from tokenclock import plan_axes
    from tokenclock import plan_benchmark as plan

    family = plan.family_of(args.model)
    if not args.engine_dir:
        raise UsageError("--engine_dir is needed: the directory of the model, or tiny:llama to try things out")
    lengths: tuple[tuple[int, int | None], ...]
    if family == "enc":
        lengths = tuple((n, None) for n in plan_axes.parse_ints("--input_len", args.input_len, unit="tokens"))
    else:
        lengths = plan_axes.parse_pairs("--input_output_len", args.input_output_len)
    return plan.BenchmarkPlan(
        family=family,
        engine_dir=args.engine_dir,
        batch_sizes=plan_axes.parse_ints("--batch_size", args.batch_size, unit="rows", highest=plan_axes.MOST_ROWS),
        lengths=lengths,
        gpu_weights_percents=plan_axes.parse_shares("--gpu_weights_percent", args.gpu_weights_percent),
        num_beams=args.num_beams,
        seed=args.seed,
        model=plan.ModelPlan(
            runtime=args.runtime,
            dtype=args.dtype or "float16",
            dtype_named=args.dtype is not None,
            quantization=args.quantization,
            device=args.device,
            threads=args.threads,
            tp=args.tp,
            pp=args.pp,
            ep=args.ep,
            cuda_graph=args.enable_cuda_graph,
            torch_compile=args.torch_compile,
            extra_llm_api_options=args.extra_llm_api_options,
            strict_options=args.strict_options,
        ),
        loop=plan.LoopPlan(
            warm_up=args.warm_up,
            num_runs=args.num_runs,
            duration_s=args.duration,
            max_duration_s=args.max_duration,
            streaming=args.streaming,
            fail_fast=args.fail_fast,
        ),
        output=plan.BenchmarkOutput(
            csv=args.csv,
            json=args.json,
            save_events=args.save_events,
            percentiles=args.percentiles,
            gpu_sampling_interval_ms=args.gpu_sampling_interval,
            log_level=args.log_level,
            dump_profile=args.dump_profile,
            dump_layer_info=args.dump_layer_info,
        ),
    )


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code. Raises TokenclockError for what ends it early."""
    plan = plan_from_argv(argv, os.environ)
    from tokenclock.cli.benchmark_lines import CasePrinter
    from tokenclock.offline.run import run_benchmark
    from tokenclock.report.benchmark_live import case_table

    with case_table(plan.n_cases) as table:
        printer = CasePrinter(csv=plan.output.csv, table=table)
        result = run_benchmark(plan, watcher=printer, ends_process=True)
    kept = plan.output.json or plan.output.csv or plan.output.save_events
    return exit_code(result.cases, incomplete=result.incomplete) or (0 if kept else printer.code)


def exit_code(cases: Sequence[Mapping[str, object]], *, incomplete: bool) -> int:
    """0 measured, 1 nothing measured, 3 some cases failed, 130 interrupted."""
    if incomplete:
        return 130
    statuses = [case["status"] for case in cases]
    if "measured" not in statuses:
        return 1
    return 3 if "failed" in statuses else 0
