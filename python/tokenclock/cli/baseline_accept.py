"""`tokenclock baseline accept`: the last valid runs become what later ones are held against."""

from __future__ import annotations

import argparse
import sys

from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.baseline_flags import add_runs, where
from tokenclock.cli.history_place import open_history
from tokenclock.cli.standard_streams import show
from tokenclock.errors import TokenclockError, UsageError

__all__ = ["DESCRIPTION", "HELP", "add_flags", "run"]

HELP = "make the last valid runs the baseline, until another is accepted"
DESCRIPTION = (
    "Pins the last valid runs of each key as its baseline: a change that is meant to stay, or a level that\n"
    "nothing may drift away from. It holds until another one is accepted."
)
DEFAULT_LAST = 5


def add_flags(parser: CommandParser) -> None:
    """The action's flags."""
    add_runs(parser, DEFAULT_LAST)
    parser.add_argument("--all", action="store_true", help="every key in the history; else name --label, --test, ...")
    why = parser.add_argument_group("what is noted with it")
    why.add_argument("--reason", metavar="TEXT", help="why it is right so; a terminal is asked for it")
    why.add_argument("--accepted-by", metavar="NAME", help="who says so (default: your user name)")


def run(arguments: argparse.Namespace) -> int:
    """Pin; 0, or 1 where no run is meant."""
    named = (arguments.label, arguments.test, arguments.model, arguments.gpu, arguments.host)
    if not arguments.all and not any(named):
        raise UsageError("say which runs by --label, --test, --model, --gpu or --host, or --all")
    reason = _reason(arguments.reason)
    from datetime import datetime, timezone

    from tokenclock.baselines.accept import accept, gated_metrics
    from tokenclock.baselines.history import KEY_COLUMNS, keys_in
    from tokenclock.baselines.shown import render, standings

    by = arguments.by or KEY_COLUMNS
    who = arguments.accepted_by or _user()
    with open_history(arguments.history) as database:
        keys = keys_in(database, where(arguments), by)
        now, pins = datetime.now(timezone.utc), 0
        for key in keys:
            metrics = arguments.metrics or gated_metrics(database, key)
            pins += len(accept(database, key, metrics, last=arguments.last, reason=reason, by=who, now=now))
        if not pins:
            raise TokenclockError("nothing was accepted: no valid run is meant; `tokenclock history list` shows them")
        return show("tokenclock baseline accept", render(standings(database, keys, arguments.metrics)))


def _reason(given: str | None) -> str:
    if given is None and sys.stdin is not None and sys.stdin.isatty():
        print("Why is this the baseline now? ", end="", file=sys.stderr, flush=True)
        given = sys.stdin.readline()
    reason = " ".join((given or "").split())
    if not reason:
        raise UsageError("--reason must say why this is the baseline now, such as --reason 'larger batches, see PR 12'")
    return reason


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
