"""`tokenclock history html`: the history as one page that needs no network."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import whole_number
from tokenclock.cli.history_filters import add_filter_flags, filter_of
from tokenclock.cli.history_place import add_place_flag, open_history
from tokenclock.cli.history_series import add_by_flag, add_metrics_flag, by_of, known_metrics, progress
from tokenclock.cli.written import write_output
from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.store.database import Database
    from tokenclock.store.filter import Filter

__all__ = ["add_flags", "run"]

_DESCRIPTION = """\
Writes a page with the trend of every series, its changes of level, the newest runs with their facts and numbers, and
two runs side by side. It needs no network and no server; older runs are in it as means over stretches of time. Needs
plotly: pip install 'tokenclock[report]'."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.description = _DESCRIPTION
    parser.add_argument("file", metavar="FILE", help="the page, such as history.html")
    add_place_flag(parser)
    add_by_flag(parser)
    add_metrics_flag(parser, "whose whole past is shown; of others the newest runs (default: the first 16)")
    parser.add_argument(
        "--newest", type=whole_number, default=2000, metavar="N", help="runs that are told one by one (default: 2000)"
    )
    add_filter_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the page; 0."""
    if arguments.file == "-":
        raise UsageError("the page is written to a file, got -: give its name, such as history.html")
    folder = os.path.dirname(arguments.file) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"{arguments.file}: there is no directory {folder}; make it first")
    if os.path.isdir(arguments.file):
        raise UsageError(f"{arguments.file} is a directory: give the name of a file, such as history.html")
    if not 1 <= arguments.newest <= 20_000:
        raise UsageError(f"--newest must be from 1 to 20000, got {arguments.newest}")
    by, where = by_of(arguments), filter_of(arguments)
    with open_history(arguments.history) as database:
        metrics = known_metrics(arguments, database, where)
        write_output("history", arguments.file, lambda: _write(arguments, database, where, by, metrics))
    return 0


def _write(
    arguments: argparse.Namespace, database: Database, where: Filter, by: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    from tokenclock.store.dashboard import write_dashboard

    with progress() as say:
        write_dashboard(database, arguments.file, where, by=by, metrics=metrics, newest=arguments.newest, say=say)
