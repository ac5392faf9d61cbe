"""Flags that `baseline accept` and `baseline show` share: which history, which runs, which metrics."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import CommandParser, metric_list, whole_number
from tokenclock.cli.history_place import add_place_flag

if TYPE_CHECKING:
    from tokenclock.store.filter import Filter

__all__ = ["add_runs", "sessions", "where"]


def add_runs(parser: CommandParser, default_last: int) -> None:
    """The flags that say which runs are meant."""
    add_place_flag(parser)
    runs = parser.add_argument_group("which runs; * stands for any characters")
    runs.add_argument("--label", metavar="TEXT", help="label, or a test's, its tokens in any order")
    runs.add_argument("--test", metavar="TEXT", help="name of a performance test")
    runs.add_argument("--model", metavar="TEXT")
    runs.add_argument("--gpu", metavar="TEXT")
    runs.add_argument("--host", metavar="TEXT")
    runs.add_argument(
        "--by",
        type=metric_list,
        default=(),
        metavar="COLUMNS",
        help="runs are alike where these are (default: label,gpu; without a GPU the host too)",
    )
    runs.add_argument(
        "--metrics",
        type=metric_list,
        default=(),
        metavar="LIST",
        help="such as OUTPUT_TOKEN_TIME,tpot.mean (default: a test's metric types, else latencies and rates)",
    )
    runs.add_argument(
        "--last",
        type=sessions,
        default=default_last,
        metavar="N",
        help=f"valid sessions that make a baseline, 3 to 20 (default: {default_last})",
    )


def sessions(text: str) -> int:
    """A whole number from 3 to 20, as an argparse type."""
    value: int = whole_number(text)
    if not 3 <= value <= 20:
        raise argparse.ArgumentTypeError(f"must be from 3 to 20, got {value}")
    return value


def where(arguments: argparse.Namespace) -> Filter:
    """The runs that were named."""
    from tokenclock.store.filter import Filter

    label = _canonical(arguments.label)
    return Filter(model=arguments.model, label=label, test=arguments.test, gpu=arguments.gpu, host=arguments.host)


def _canonical(label: str | None) -> str | None:
    """A performance test's label as the history has it, however it is written; any other text as it is."""
    if label is None or "*" in label:
        return label
    from tokenclock.errors import UsageError
    from tokenclock.perftest.case import case_of

    try:
        case = case_of(label)
    except UsageError:
        return label
    return label if case is None else case.canonical
