"""Flags of the pages and of `regressions`: what makes runs one series, and which metrics are looked at."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import did_you_mean, metric_list
from tokenclock.cli.history_filters import column_list
from tokenclock.errors import UsageError
from tokenclock.standard_error import quiet_stderr

if TYPE_CHECKING:
    from tokenclock.store.database import Database
    from tokenclock.store.filter import Filter

__all__ = ["BY", "add_by_flag", "add_metrics_flag", "by_of", "known_metrics", "progress"]

BY = "label,gpu,model,test,concurrency,request_rate,batch_size"
"""As `store.regressions.DEFAULT_BY`."""


def add_by_flag(parser: argparse.ArgumentParser) -> None:
    """`--by`."""
    parser.add_argument(
        "--by",
        default=BY,
        metavar="LIST",
        help="columns, or tag.NAME, that must be alike for runs to be one series; leave out the load and a sweep looks "
        f"like a row of changes (default: {BY})",
    )


def add_metrics_flag(parser: argparse.ArgumentParser, what: str) -> None:
    """`--metrics`."""
    parser.add_argument(
        "--metrics", type=metric_list, default=(), metavar="LIST", help=f"such as ttft.mean,output_throughput: {what}"
    )


def by_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The columns. Raises UsageError for one that there is not."""
    return column_list(arguments.by)


def known_metrics(arguments: argparse.Namespace, database: Database, where: Filter) -> tuple[str, ...]:
    """The metrics asked for. Raises UsageError for one that no run has."""
    names = database.metric_names(where)
    for name in arguments.metrics:
        if name not in names:
            there = f"there are {', '.join(names)}" if names else "no run is as asked for"
            raise UsageError(f"--metrics: no run has {name}{did_you_mean(name, names)}; {there}")
    return tuple(arguments.metrics)


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """How far it is, on one line of a terminal that is cleared at the end; nothing where stderr is none."""
    stream = quiet_stderr()
    if not stream.isatty():
        yield lambda line: None
        return

    def say(line: str) -> None:
        stream.write(f"\r\x1b[Ktokenclock history: {line}")
        stream.flush()

    try:
        yield say
    finally:
        stream.write("\r\x1b[K")
        stream.flush()
