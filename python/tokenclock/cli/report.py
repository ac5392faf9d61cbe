"""`tokenclock report`: one result or more as a page, a picture or Markdown; results computed again from event logs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.own_inputs import refuse_own_inputs
from tokenclock.cli.written import check_places, write_output
from tokenclock.errors import UsageError
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.metrics.telemetry_lines import TelemetryLine
    from tokenclock.readers.ours import OwnResult
    from tokenclock.report.run_page import ShownRun

__all__ = ["build_parser", "main"]


def build_parser() -> CommandParser:
    """The command's flags."""
    parser = CommandParser(
        prog="tokenclock report",
        description="Draws results of `tokenclock serving` and shows those of `tokenclock benchmark`: distributions,\n"
        "load over time with the steady window, inter-token latency over time, every request, and the verdict of the\n"
        "measurement's quality. With --from-events everything is computed again from an event log of --save-events,\n"
        "also from one of a run that was killed.",
    )
    parser.add_argument("results", nargs="*", metavar="RESULT", help="JSON of a result, or a directory of them")
    parser.add_argument(
        "--from-events", metavar="DIR", help="the event log of a run (--save-events), in place of RESULT"
    )
    out = parser.add_argument_group("what is written")
    out.add_argument("--html", metavar="FILE", help="one page that needs no network (needs plotly)")
    out.add_argument("--png", metavar="FILE", help="one picture for each result; FILE-NAME.png of several")
    out.add_argument("--markdown", metavar="FILE", help="the numbers, for a pull request")
    out.add_argument(
        "--hlog",
        metavar="FILE",
        help="interval log of one load test, for HdrHistogram's tools (name a tag there: ttft, tpot, itl, e2el)",
    )
    out.add_argument("--json", metavar="FILE", help="with --from-events: the result, with its columns beside it")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0, or 2 for what is no result."""
    arguments = build_parser().read(argv)
    _check(arguments)
    runs = _from_events(arguments) if arguments.from_events is not None else _read(arguments.results)
    from tokenclock.cli.standard_streams import show
    from tokenclock.report import run_markdown

    text = run_markdown.render(runs)
    pictures = _png_paths(arguments.png, runs) if arguments.png is not None else []
    for path in pictures:
        refuse_own_inputs({"png": path}, _inputs(arguments))
    if arguments.markdown is not None:
        write_output("report", arguments.markdown, lambda: _write_text(arguments.markdown, text))
    if arguments.html is not None:
        write_output("report", arguments.html, lambda: _write_page(runs, arguments.html))
    for run, path in zip(runs, pictures, strict=False):
        _draw(run, path)
    if arguments.hlog is not None:
        _write_hlog(runs, arguments.hlog)
    if not any((arguments.html, arguments.png, arguments.markdown, arguments.hlog, arguments.json)):
        return show("tokenclock report", text.rstrip("\n"))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.from_events is not None and arguments.results:
        raise UsageError(f"--from-events is used without RESULT, got {arguments.results[0]} too")
    if arguments.from_events is None and not arguments.results:
        raise UsageError("expected a RESULT, or --from-events DIR")
    if arguments.json is not None and arguments.from_events is None:
        raise UsageError("--json is used with --from-events only: RESULT is JSON already")
    places = {name: getattr(arguments, name) for name in ("html", "png", "markdown", "hlog", "json")}
    check_places(places)
    refuse_own_inputs(places, _inputs(arguments))


def _inputs(arguments: argparse.Namespace) -> list[str]:
    return [*arguments.results, *([arguments.from_events] if arguments.from_events is not None else [])]


def _read(places: Sequence[str]) -> list[ShownRun]:
    from tokenclock.metrics.series import run_series
    from tokenclock.readers.ours import OwnResult
    from tokenclock.readers.read import read_directory, read_file
    from tokenclock.report.run_page import ShownRun

    found: list[OwnResult] = []
    for place in places:
        results = read_directory(place) if os.path.isdir(place) else read_file(place)
        ours = [result for result in results if isinstance(result, OwnResult)]
        if not results:
            raise UsageError(f"{place} holds no result: expected a JSON of tokenclock serving or benchmark in it")
        if not ours:
            what = results[0].tool if results and not isinstance(results[0], OwnResult) else "nothing that can be read"
            raise UsageError(f"{place} holds no result of tokenclock but {what}; `tokenclock compare` reads those")
        found += ours
    names = _names([result.path for result in found])
    runs = []
    for name, own in zip(names, found, strict=True):
        records = own.records() if own.result.kind == "serving" else None
        series = None if records is None else run_series(records)
        told = () if records is None or series is None else _telemetry(own, records.epoch_ns, series.end_s)
        runs.append(ShownRun(name, own.result, series, records, told))
    return runs


def _telemetry(own: OwnResult, epoch_ns: int, end_s: float) -> tuple[TelemetryLine, ...]:
    """What GPUs and the server told during the run; empty where nothing was kept."""
    from tokenclock.metrics.telemetry_lines import gpu_lines, server_lines
    from tokenclock.readers import server_metrics

    path = server_metrics.metrics_path(own.path)
    try:
        readings = [] if path is None else server_metrics.read(path)
    except OSError as error:
        say_on_stderr(f"tokenclock report: the server's metrics are not drawn: {path}: {error.strerror or error}")
        readings = []
    return (*gpu_lines(own.result.gpu, epoch_ns, end_s), *server_lines(readings, epoch_ns, end_s))


def _names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, with the part before it where that is not enough, numbered where that is not."""
    for depth in (1, 2, 3):
        names = ["/".join([*path.resolve().parts[-depth:-1], path.stem]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{name} {i}" for i, name in enumerate(names, start=1)]


def _from_events(arguments: argparse.Namespace) -> list[ShownRun]:
    from tokenclock.from_events import rebuild
    from tokenclock.metrics.series import run_series
    from tokenclock.report import columns_file, iteration_columns_file, json_file
    from tokenclock.report.run_page import ShownRun

    result, records, iterations = rebuild(arguments.from_events)
    if arguments.json is not None:
        path = arguments.json
        columns = columns_file.columns_path(path)
        write_output("report", path, lambda: json_file.write(result, path))
        if records is not None:
            write_output("report", str(columns), lambda: columns_file.write(records, columns))
        elif iterations is not None:
            write_output("report", str(columns), lambda: iteration_columns_file.write(iterations, columns))
    name = Path(arguments.from_events).resolve().name
    return [ShownRun(name, result, None if records is None else run_series(records), records)]


def _write_text(path: str, text: str) -> None:
    from tokenclock.atomic_file import atomic_write

    with atomic_write(path) as file:
        file.write(text.encode())


def _write_page(runs: Sequence[ShownRun], path: str) -> None:
    from tokenclock.report import run_page

    run_page.write(runs, path)


def _write_hlog(runs: Sequence[ShownRun], path: str) -> None:
    from tokenclock.metrics.interval_histograms import interval_histograms
    from tokenclock.report import hlog_file

    records = runs[0].records
    if len(runs) > 1 or records is None:
        got = f"{len(runs)} results" if len(runs) > 1 else f"{runs[0].name} without columns of a load test"
        raise UsageError(f"--hlog takes one result with its columns, got {got}")
    write_output("report", path, lambda: hlog_file.write(interval_histograms(records), runs[0].result.created, path))


def _png_paths(path: str, runs: Sequence[ShownRun]) -> list[Path]:
    given = Path(path)
    if len(runs) == 1:
        return [given]
    return [given.with_name(f"{given.stem}-{run.name.replace('/', '-')}{given.suffix or '.png'}") for run in runs]


def _draw(run: ShownRun, path: Path) -> None:
    from tokenclock.report import run_png

    if run.series is None:
        say_on_stderr(f"tokenclock report: no picture of {run.name}: no columns of a load test lie beside its result")
        return
    series = run.series
    write_output("report", str(path), lambda: run_png.write(run.name, run.result, series, path, run.telemetry))
