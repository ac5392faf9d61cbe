"""Flags that `baseline accept` and `baseline show` share: which history, which runs, which metrics."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import CommandParser, metric_list, whole_number
from tokenclock.cli.history_place import add_place_flag

if TYPE_CHECKING:
    from tokenclock.store.filter import Filter

__all__ = ["add_runs", "positive", "where"]


def add_runs(parser: CommandParser, default_last: int) -> None:
    """The flags that say which runs are meant."""
    add_place_flag(parser)
    runs = parser.add_argument_group("which runs; * stands for any characters")
    runs.add_argument("--label", metavar="TEXT", help="label, or a test's canonical label")
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
        type=positive,
        default=default_last,
        metavar="N",
        help=f"valid sessions that make a baseline (default: {default_last})",
    )


def positive(text: str) -> int:
    """A whole number from 1 on, as an argparse type."""
    value: int = whole_number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be >= 1, got {value}")
    return value


def where(arguments: argparse.Namespace) -> Filter:
    """The runs that were named."""
    from tokenclock.store.filter import Filter

    return Filter(
        model=arguments.model, label=arguments.label, test=arguments.test, gpu=arguments.gpu, host=arguments.host
    )
