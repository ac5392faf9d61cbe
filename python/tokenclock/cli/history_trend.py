"""`tokenclock history trend`: a metric over time, group by group."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import did_you_mean, whole_number
from tokenclock.cli.history_filters import add_filter_flags, column_list, filter_of
from tokenclock.cli.history_place import add_place_flag, open_history
from tokenclock.cli.standard_streams import show
from tokenclock.cli.written import write_output
from tokenclock.errors import UsageError
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.store.database import Database
    from tokenclock.store.filter import Filter
    from tokenclock.store.series import Line

__all__ = ["add_flags", "run"]

_TRUSTED = ("valid", "warn", "unknown")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("metric", metavar="METRIC", help="such as ttft.mean, tpot.p99, output_throughput")
    add_place_flag(parser)
    parser.add_argument(
        "--by",
        default="model,gpu,label",
        metavar="LIST",
        help="columns that runs are told apart by: model, gpu, label, test, host, concurrency, request_rate, "
        "batch_size, isl, osl, backend, tool_version, ..., tag.NAME; '' for one line (default: model,gpu,label)",
    )
    parser.add_argument("--last", type=whole_number, metavar="N", help="only so many newest runs of each group")
    add_filter_flags(parser)
    out = parser.add_argument_group("what is written")
    out.add_argument("--limit", type=whole_number, default=40, metavar="N", help="lines at most; 0: all (default: 40)")
    out.add_argument("--png", metavar="FILE", help="picture: points with their intervals, by time (needs matplotlib)")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each group; 0. Runs whose numbers cannot be trusted are left out unless `--state` says so."""
    _check(arguments)
    by = column_list(arguments.by)
    where = filter_of(arguments, states=_TRUSTED)
    with open_history(arguments.history) as database:
        points = lines = None
        if arguments.png is None:
            lines = database.lines(arguments.metric, by=by, where=where, last=arguments.last)
        else:
            points = database.series(arguments.metric, by=by, where=where, last=arguments.last)
        unit = database.unit(arguments.metric)
        if unit is None:
            raise UsageError(_unknown(arguments.metric, database))
        left_out = 0 if arguments.state else _left_out(database, where)
    if left_out:
        say_on_stderr(f"tokenclock history: {left_out} runs that are not valid are left out; --state all takes them")
    if lines is None:
        from tokenclock.store.series import line_of

        lines = {group: line_of(of) for group, of in (points or {}).items()}
    if not lines:
        say_on_stderr("tokenclock history: no run is as asked for")
        return 0
    code = show("tokenclock history", _text(lines, by, arguments.metric, unit, arguments.limit))
    if points is not None:
        from tokenclock.store import trend_png

        write_output("history", arguments.png, lambda: trend_png.write(points, arguments.metric, unit, arguments.png))
    return code


def _check(arguments: argparse.Namespace) -> None:
    if arguments.last is not None and arguments.last < 1:
        raise UsageError(f"--last must be 1 or more, got {arguments.last}")
    if arguments.limit < 0:
        raise UsageError(f"--limit must be 0 or more, got {arguments.limit}")
    if arguments.png is not None and not arguments.png.lower().endswith(".png"):
        raise UsageError(f"--png must end in .png, got {arguments.png}: no other pictures are made")
    if arguments.png is not None and not os.path.isdir(os.path.dirname(arguments.png) or "."):
        raise UsageError(f"--png {arguments.png}: there is no directory {os.path.dirname(arguments.png)}")


def _unknown(metric: str, database: Database) -> str:
    names = database.metric_names()
    if not names:
        return f"the history {database.place} holds no numbers yet: add runs first (tokenclock history add RESULT)"
    return f"no run has the metric {metric}{did_you_mean(metric, names)}; there are {', '.join(names)}"


def _left_out(database: Database, where: Filter) -> int:
    from dataclasses import replace

    return database.count(replace(where, states=("invalid", "incomplete")))


def _text(found: Mapping[tuple[str, ...], Line], by: Sequence[str], metric: str, unit: str, limit: int) -> str:
    from tokenclock.store.words import shown_number, shown_unit, sparkline, table

    plain = not _draws_bars()
    rows = []
    groups = list(found)[: limit or None]
    for group in groups:
        first, last, values = found[group]
        rows.append(
            [
                *group, str(len(values)), f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}",
                shown_number(statistics.median(values), unit), shown_number(values[-1], unit), _change(values),
                sparkline(values, plain=plain),
            ]
        )  # fmt: skip
    heads = [*by, "runs", "from", "to", "median", "last", "last to before", "trend"]
    n = len(by)
    lines = [f"{metric} in {shown_unit(unit)}", table(heads, rows, right=[n, n + 3, n + 4, n + 5])]
    if len(groups) < len(found):
        lines.append(f"{len(found) - len(groups)} more groups: --limit 0 shows all, filters fewer")
    return "\n".join(lines)


def _change(values: Sequence[float]) -> str:
    """The last value against the median of those before it."""
    before = statistics.median(values[:-1]) if len(values) > 1 else 0.0
    return f"{values[-1] / before - 1:+.1%}" if before > 0 else ""


def _draws_bars() -> bool:
    try:
        "▁█".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
