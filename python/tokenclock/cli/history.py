"""`tokenclock history`: keeps results and shows how numbers change over time."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Sequence

from tokenclock.cli.arguments import CommandParser, did_you_mean
from tokenclock.errors import UsageError

__all__ = ["build_parser", "main"]

_ACTIONS = {  # name -> what it does; the module is cli/history_NAME.py
    "add": "results into the history; a run that is there already stays one",
    "list": "runs, the newest first",
    "show": "one run with all its numbers",
    "trend": "a metric over time, a line for each group of runs",
    "regressions": "where a metric changed for good",
    "export": "CSV, Parquet or Arrow",
    "html": "a page of everything, which needs no network",
    "serve": "the same on a port of this machine, with each run's own page",
}

_DESCRIPTION = """\
Keeps results of any tool that tokenclock reads in a database and shows how numbers change from run to run: an SQLite
file, which needs no set-up, or a PostgreSQL server that a team shares. Needs SQLAlchemy: pip install
'tokenclock[history]', or 'tokenclock[postgresql]'."""

_EXAMPLES = """\
examples:
  keep a run, with what the code was:
    tokenclock serving --model m --save-result --result-filename run.json
    tokenclock history add run.json --tag branch=main --tag commit=$(git rev-parse --short HEAD)

  a folder of results of other tools, or one from a pipe:
    tokenclock history add results/
    ssh bench cat run.json | tokenclock history add -

  what there is, and one run in full:
    tokenclock history list --model 'llama*' --since 30d
    tokenclock history show 42

  how a number changed, for each model and GPU:
    tokenclock history trend ttft.p99 --by model,gpu --where concurrency=8 --png ttft.png

  the history of a team:
    export TOKENCLOCK_HISTORY=postgresql://bench@db.example.org/tokenclock

exit codes:
  0  done
  1  a file could not be written, one of a directory not be read, or a package is not installed
  2  wrong flags, what is no result, a history that cannot be reached, written or understood
"""


def build_parser() -> CommandParser:
    """The command and its actions."""
    return _parsers()[0]


def _parsers() -> tuple[CommandParser, dict[str, CommandParser]]:
    parser = CommandParser(prog="tokenclock history", description=_DESCRIPTION, epilog=_EXAMPLES)
    below = parser.add_subparsers(
        dest="action", metavar="ACTION", parser_class=CommandParser, title="actions (--help after one shows its flags)"
    )
    found = {}
    for name, what in _ACTIONS.items():
        module = f"tokenclock.cli.history_{name}"
        if importlib.util.find_spec(module) is None:
            continue
        found[name] = below.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        importlib.import_module(module).add_flags(found[name])
    return parser, found


def main(argv: Sequence[str]) -> int:
    """Run the action; its exit code."""
    parser, actions = _parsers()
    arguments = list(argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        parser.parse_args(["--help"])
    given, arguments = _place_first(arguments)
    action = arguments[0] if arguments else ""
    if action not in actions:
        names = ", ".join(actions)
        got = f"got {action}{did_you_mean(action, list(actions))}" if action else "got none"
        raise UsageError(f"expected an action, one of {names}, {got}")
    values: argparse.Namespace = actions[action].read([*given, *arguments[1:]])
    return int(importlib.import_module(f"tokenclock.cli.history_{action}").run(values))


def _place_first(arguments: list[str]) -> tuple[list[str], list[str]]:
    """`--history PLACE` before the action, and the rest."""
    if arguments[0] == "--history":
        return arguments[:2], arguments[2:]
    if arguments[0].startswith("--history="):
        return arguments[:1], arguments[1:]
    return [], arguments
