"""`tokenclock history serve`: the history's pages on a port of this machine."""

from __future__ import annotations

import argparse
import os
import signal

from tokenclock.cli.arguments import whole_number
from tokenclock.cli.history_filters import add_filter_flags, filter_of
from tokenclock.cli.history_place import add_place_flag, history_place
from tokenclock.cli.history_series import add_by_flag, by_of
from tokenclock.cli.standard_streams import show
from tokenclock.errors import TokenclockError, UsageError
from tokenclock.standard_error import say_on_stderr

__all__ = ["add_flags", "run"]

_DESCRIPTION = """\
Shows the history as pages for a browser on this machine: trends, changes of level, runs side by side, and each run's
own page; the figures also as JSON (/api/runs, /api/run, /api/metrics, /api/series). It only reads, and asks no other
server. Prints its address once it listens. Needs plotly: pip install 'tokenclock[report]'.

exit codes: 0 told to stop by SIGTERM; 2 a flag is wrong, or it cannot listen there; 130 Ctrl-C"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.description = _DESCRIPTION
    add_place_flag(parser)
    add_by_flag(parser)
    add_filter_flags(parser)
    parser.conflict_handler = "resolve"  # the filter's --host gives way; --where host=NAME says the same
    parser.set_defaults(host=None)
    address = parser.add_argument_group("address")
    address.add_argument(
        "--host",
        dest="listen_at",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen; anything but loopback lets all read who can reach it (default: 127.0.0.1). Runs of a "
        "machine are chosen by --where host=NAME here",
    )
    address.add_argument("--port", type=whole_number, default=8765, help="0 takes a free one (default: 8765)")


def run(arguments: argparse.Namespace) -> int:
    """Answer until told to stop: 0 after SIGTERM, 130 after Ctrl-C."""
    if not 0 <= arguments.port <= 65535:
        raise UsageError(f"--port must be from 0 to 65535, got {arguments.port}")
    by, where = by_of(arguments), filter_of(arguments)
    try:
        import plotly  # noqa: F401
    except ImportError as error:
        raise TokenclockError("the pages need plotly; pip install 'tokenclock[report]'") from error
    from tokenclock.store.database import open_database
    from tokenclock.store.serve import is_loopback, serve

    ended_by: list[int] = []

    def ready(address: str) -> None:
        if not is_loopback(arguments.listen_at):
            _say(f"everyone who can reach {arguments.listen_at} can read the history while this runs")
        show("tokenclock history", f"the history is at {address} (Ctrl-C ends it)")

    before = {which: signal.signal(which, lambda which, _: ended_by.append(which)) for which in _ENDING}
    try:
        with open_database(history_place(arguments.history), create=False, read_only=True) as database:
            busy = serve(
                database,
                arguments.listen_at,
                arguments.port,
                where,
                by=by,
                say=_say,
                ready=ready,
                ended=lambda: bool(ended_by),
            )
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
    code = 130 if ended_by[:1] == [signal.SIGINT] else 0
    if busy:  # a thread amid a long computation cannot be told to end, and would abort the interpreter's own end
        show("tokenclock history")
        os._exit(code)
    return code


_ENDING = (signal.SIGINT, signal.SIGTERM)


def _say(line: str) -> None:
    say_on_stderr(f"tokenclock history: {line}")
