"""`tokenclock baseline show`: what runs are held against, since when and why, and how the last ones did."""

from __future__ import annotations

import argparse
import json
import os

from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.baseline_flags import add_runs, where
from tokenclock.cli.history_place import open_history
from tokenclock.cli.standard_streams import show
from tokenclock.cli.written import write_output
from tokenclock.errors import TokenclockError, UsageError

__all__ = ["DESCRIPTION", "HELP", "add_flags", "run"]

HELP = "baselines, since when and why, and how the last run did"
DESCRIPTION = "Shows what runs are held against: pinned values with their reason, or the last valid runs."
DEFAULT_LAST = 10


def add_flags(parser: CommandParser) -> None:
    """The action's flags."""
    add_runs(parser, DEFAULT_LAST)
    parser.add_argument("--json", metavar="FILE", help="the same with exact numbers, in the metrics' units")


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 0, or 1 where there is nothing to show."""
    path = arguments.json
    if path is not None and not os.path.isdir(os.path.dirname(path) or "."):
        raise UsageError(f"--json {path}: there is no directory {os.path.dirname(path)}; make it first")
    from tokenclock.baselines.history import KEY_COLUMNS, keys_in
    from tokenclock.baselines.shown import as_json, render, standings

    with open_history(arguments.history) as database:
        keys = keys_in(database, where(arguments), arguments.by or KEY_COLUMNS)
        found = standings(database, keys, arguments.metrics, last=arguments.last)
    if not found:
        raise TokenclockError("no valid run in the history is meant; `tokenclock history list` shows what there is")
    code = show("tokenclock baseline show", render(found))
    if path is not None:
        text = json.dumps(as_json(found), indent=2) + "\n"
        write_output("baseline show", path, lambda: _write(path, text))
    return code


def _write(path: str, text: str) -> None:
    from tokenclock.atomic_file import atomic_write

    with atomic_write(path) as file:
        file.write(text.encode())
