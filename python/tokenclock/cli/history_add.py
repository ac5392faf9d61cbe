"""`tokenclock history add`: results of any tool we read into the history."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import key_value
from tokenclock.cli.history_filters import once
from tokenclock.cli.history_place import add_place_flag, open_history
from tokenclock.cli.standard_streams import show
from tokenclock.errors import UsageError
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.store.record import RunRecord

__all__ = ["add_flags", "run"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument(
        "results",
        nargs="+",
        metavar="RESULT",
        help="file of tokenclock, benchmark_serving, vllm, SGLang, genai-perf, AIPerf or trtllm-bench; a directory, "
        "with all below it; - for stdin",
    )
    add_place_flag(parser)
    parser.add_argument("--label", metavar="TEXT", help="in place of the label that the results have")
    parser.add_argument("--test", default="", metavar="TEXT", help="name of the performance test")
    parser.add_argument(
        "--tag",
        type=key_value,
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="noted with each run, such as branch=main or commit=1a2b3c; may be given again",
    )


def run(arguments: argparse.Namespace) -> int:
    """Add all or, where a file that was named cannot be read, none.

    Returns:
        0; 1 where a file of a directory could not be read and the rest was added.
    """
    unread: list[str] = []
    records = [record for place in arguments.results for record in _records(place, arguments, unread)]
    for line in unread:
        say_on_stderr(f"tokenclock history: {line}; it is left out")
    with open_history(arguments.history, create=True) as database:
        added = database.add(records)
        place = database.place
    known = f"; {_runs(added.known)} there before" if added.known else ""
    if added.known and (given := [name for name in ("label", "test", "tag") if getattr(arguments, name)]):
        flags = " and ".join(f"--{name}" for name in given)
        known += f", which {'keeps' if added.known == 1 else 'keep'} what was noted then ({flags} not taken over)"
    code = show("tokenclock history", f"{_runs(added.new)} added to {place}{known}")
    return 1 if unread else code


def _runs(n: int) -> str:
    return f"{n} run{'' if n == 1 else 's'}"


def _records(place: str, arguments: argparse.Namespace, unread: list[str]) -> list[RunRecord]:
    from tokenclock.readers.read import FORMATS, read_directory, read_file
    from tokenclock.store.from_result import records_of

    source = None
    if place == "-":
        with _standard_input() as path:
            try:
                results = read_file(path)
            except UsageError as error:
                raise UsageError(str(error).replace(path, "standard input")) from error
        source = "-"
    elif os.path.isdir(place):
        results = read_directory(place, unread=unread)
        if not results and unread:
            raise UsageError(f"{place} holds no result that can be read: {unread[0]}")
        if not results:
            raise UsageError(f"{place} holds no result: expected {FORMATS}")
    else:
        results = read_file(place)
    tags = once(arguments.tag, "--tag")
    return [
        record
        for result in results
        for record in records_of(result, tags=tags, label=arguments.label, test=arguments.test, source=source)
    ]


@contextlib.contextmanager
def _standard_input() -> Iterator[str]:
    """What comes on stdin, as a file whose name says whether it is JSON."""
    data = sys.stdin.buffer.read()
    if not data.strip():
        raise UsageError("standard input is empty: pipe a result into `tokenclock history add -`")
    suffix = ".json" if data.lstrip().startswith(b"{") else ".txt"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"stdin{suffix}")
        with open(path, "wb") as file:
            file.write(data)
        yield path
