"""`tokenclock compare`: two results or more: which differs, by how much, and how sure that is."""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenclock.cli.arguments import CommandParser, from_environment
from tokenclock.cli.own_inputs import refuse_own_inputs
from tokenclock.cli.standard_streams import show
from tokenclock.cli.written import check_places, write_output
from tokenclock.errors import GateMissed, UsageError
from tokenclock.standard_error import say_on_stderr

__all__ = ["build_parser", "main"]

ENVIRONMENT_PREFIX = "TOKENCLOCK_COMPARE_"

_REFUSED = {  # of genai-perf compare
    "--files": "name the files by themselves, statistics (*_genai_perf.json) and not raw profiles",
    "--config": "plots are not configured by YAML: --html FILE makes a page of them",
}


def build_parser() -> CommandParser:
    """The command's flags."""
    parser = CommandParser(
        prog="tokenclock compare",
        description="Compares results with the first of them, load by load: change with its 95 % interval, and\n"
        "whether it is better, worse, shows no difference, or cannot be told. Reads results of tokenclock,\n"
        "benchmark_serving, vllm bench serve, genai-perf, AIPerf and trtllm-bench, and the [BENCHMARK] lines\n"
        "and CSV of benchmark.py.\n"
        "Without RESULT the sub-folders of the current directory are compared. Exit code 3: a --fail-if was met.",
    )
    parser.add_argument(
        "results",
        nargs="*",
        metavar="[NAME=]RESULT",
        help="files or directories, one a side; one directory: its folders",
    )
    what = parser.add_argument_group("what is compared")
    what.add_argument("--baseline", metavar="NAME", help="the side to compare with (default: the first)")
    what.add_argument(
        "--metrics",
        type=_names,
        default=(),
        metavar="LIST",
        help="such as ttft.mean,tpot.p99,output_throughput (default: mean, p50, p99 of all latencies, and rates)",
    )
    what.add_argument("--steady", action="store_true", help="numbers of the steady windows in place of the whole runs'")
    what.add_argument("--force", action="store_true", help="compare what is not the same work, and say so")
    what.add_argument(
        "--min-effect",
        type=_percentage,
        default=0.02,
        metavar="PERCENT",
        help="a smaller difference is never called (default: 2)",
    )
    out = parser.add_argument_group("what is written, besides the table on stdout")
    out.add_argument("--summary", metavar="FILE", help="text: every metric by load, speed-up, scaling, verdicts")
    out.add_argument("--png", metavar="FILE", help="picture: latencies and throughput by load (needs matplotlib)")
    out.add_argument("--html", metavar="FILE", help="one page that needs no network (needs plotly)")
    out.add_argument("--markdown", metavar="FILE", help="for a pull request")
    out.add_argument("--json", metavar="FILE", help="everything, with exact numbers")
    gate = parser.add_argument_group("gate")
    gate.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="CONDITION",
        help="end with 3 where it holds, such as 'tpot.p99 > +5%%', 'ttft.p99 > 200ms', 'itl.mean is worse'; may be "
        "given again",
    )
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise argparse.ArgumentTypeError(f"must be names such as ttft.mean,tpot.p99, got {text or 'nothing'}")
    return names


def _compared(named: Sequence[str], judged: Sequence[str]) -> tuple[str, ...]:
    """The metrics named, and those that a condition judges; empty: those that are always compared are enough."""
    from tokenclock.compare.verdict import FAMILY

    more = [name for name in judged if name not in (named or FAMILY)]
    return tuple(dict.fromkeys([*(named or FAMILY), *more])) if more else tuple(named)


def _percentage(text: str) -> float:
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"must be a percentage from 0 to 100, got {text}")
    return value / 100


def main(argv: Sequence[str]) -> int:
    """Run the command; 0, or 3 where a condition was met."""
    for argument in argv:
        flag = argument.partition("=")[0]
        if flag in _REFUSED:
            raise UsageError(f"{flag} is refused: {_REFUSED[flag]}")
    parser = build_parser()
    preset = from_environment(parser, os.environ, ENVIRONMENT_PREFIX) if not {"-h", "--help"} & set(argv) else []
    arguments = parser.read([*preset, *argv])
    from tokenclock.compare import gate
    from tokenclock.compare.comparison import compare
    from tokenclock.compare.gather import gather
    from tokenclock.compare.left_out import lines_of_left_out

    conditions = [(text, gate.parse(text)) for text in arguments.fail_if]
    files = _files(arguments)
    sides = gather(arguments.results, steady=arguments.steady)
    for line in lines_of_left_out(sides):
        say_on_stderr(f"tokenclock compare: {line}")
    comparison = compare(
        sides,
        baseline=arguments.baseline,
        metrics=_compared(arguments.metrics, [clause.metric for _, clauses in conditions for clause in clauses]),
        min_effect=arguments.min_effect,
        force=arguments.force,
    )
    met = gate.missed(conditions, comparison["points"])
    if conditions:
        comparison["gate"] = {"conditions": [text for text, _ in conditions], "met": met}
    from tokenclock.report import compare_table

    code = show("tokenclock compare", compare_table.render(comparison).rstrip("\n"))
    for path, write in files:
        write_output("compare", path, functools.partial(write, comparison, path))
    if met:
        raise GateMissed(f"--fail-if was met: {' | '.join(met)}")
    return code


Writer = Callable[[Mapping[str, Any], str], None]


def _files(arguments: argparse.Namespace) -> list[tuple[str, Writer]]:
    """The files asked for; that each can be written is checked before anything is read."""
    places = {name: getattr(arguments, name) for name in ("summary", "png", "html", "markdown", "json")}
    check_places(places)
    if any(places.values()):
        from tokenclock.compare.gather import paths_of

        refuse_own_inputs(places, map(str, paths_of(arguments.results)))
    wanted: list[tuple[str, Writer]] = []
    for name, write in (
        ("summary", _summary), ("png", _png), ("html", _html), ("markdown", _markdown), ("json", _json),
    ):  # fmt: skip
        path = getattr(arguments, name)
        if path is not None:
            wanted.append((path, write))
    return wanted


def _text(path: str, text: str) -> None:
    from tokenclock.atomic_file import atomic_write

    with atomic_write(path) as file:
        file.write(text.encode())


def _summary(comparison: Mapping[str, Any], path: str) -> None:
    from tokenclock.report import compare_summary

    _text(path, compare_summary.render(comparison))


def _markdown(comparison: Mapping[str, Any], path: str) -> None:
    from tokenclock.report import compare_markdown

    _text(path, compare_markdown.render(comparison))


def _png(comparison: Mapping[str, Any], path: str) -> None:
    from tokenclock.report import compare_png

    compare_png.write(comparison, path)


def _html(comparison: Mapping[str, Any], path: str) -> None:
    from tokenclock.report import compare_html

    compare_html.write(comparison, path)


def _json(comparison: Mapping[str, Any], path: str) -> None:
    from tokenclock.report import json_file

    json_file.write_plain(comparison, path)
