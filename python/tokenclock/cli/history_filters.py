"""Flags that say which runs are meant, alike for every command of the history."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import key_value
from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.store.filter import Filter

__all__ = ["add_filter_flags", "column_list", "filter_of", "once"]

_TEXTS = {
    "model": "model's name", "gpu": "GPU's name", "label": "label (--label, or of a performance test)",
    "test": "performance test", "host": "machine it was measured from", "kind": "serving, benchmark or perftest",
    "tool": "tool that wrote the result",
}  # fmt: skip


def add_filter_flags(parser: argparse.ArgumentParser) -> None:
    """The flags; read by `filter_of`."""
    group = parser.add_argument_group("which runs (all must hold; * in a TEXT stands for any characters)")
    for name, what in _TEXTS.items():
        group.add_argument(f"--{name}", metavar="TEXT", help=what)
    group.add_argument(
        "--tag", type=key_value, action="append", default=[], metavar="NAME=TEXT", help="may be given again"
    )
    group.add_argument(
        "--where",
        type=key_value,
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="exactly this value, such as concurrency=8, isl=512, state=valid, tag.branch=main; may be given again",
    )
    group.add_argument("--since", metavar="DATE", help="from then on: 2026-11-01, 2026-11-01T12:00 (local), or 30d ago")
    group.add_argument("--until", metavar="DATE", help="before then, likewise")
    group.add_argument(
        "--state",
        action="append",
        default=[],
        metavar="STATE",
        help="valid, warn, invalid, incomplete, failed, skipped or unknown (other tools' files); with commas, or given "
        "again; all",
    )


def filter_of(arguments: argparse.Namespace, *, states: Sequence[str] = ()) -> Filter:
    """The filter that the flags say.

    Args:
        arguments: of a parser with `add_filter_flags`.
        states: where `--state` is not given; none: all.

    Raises:
        UsageError: a date, a state or a column that there is not.
    """
    from tokenclock.store.filter import COLUMNS, Filter, checked_column, number_of
    from tokenclock.store.instants import typed_instant
    from tokenclock.store.record import STATES

    given = [part.strip() for text in arguments.state for part in text.split(",") if part.strip()]
    for state in given:
        if state not in (*STATES, "all"):
            raise UsageError(f"--state must be one of {', '.join(STATES)} or all, got {state}")
    for name, value in arguments.where:
        if COLUMNS.get(checked_column(name), "text") != "text":
            number_of(name, _switch(name, value))
    return Filter(
        **{name: getattr(arguments, name) for name in _TEXTS},
        tag=once(arguments.tag, "--tag"),
        key={name: _switch(name, value) for name, value in once(arguments.where, "--where").items()},
        since=None if arguments.since is None else typed_instant(arguments.since),
        until=None if arguments.until is None else typed_instant(arguments.until),
        states=() if "all" in given else tuple(given) or tuple(states),
    )


def once(given: Sequence[tuple[str, str]], flag: str) -> dict[str, str]:
    """NAME=TEXT of a flag that may be given again.

    Raises:
        UsageError: two texts for one name.
    """
    found: dict[str, str] = {}
    for name, value in given:
        if found.setdefault(name, value) != value:
            raise UsageError(f"{flag} {name}={found[name]} and {flag} {name}={value} cannot both be: give one")
    return found


def _switch(column: str, value: str) -> str:
    """`true` and `false` of a column that is yes or no, as it is written in the database."""
    from tokenclock.store.filter import COLUMNS

    return {"true": "yes", "false": "no"}.get(value.lower(), value) if COLUMNS.get(column) == "switch" else value


def column_list(text: str) -> tuple[str, ...]:
    """Names of columns with commas between, for `--by`.

    Raises:
        UsageError: one that there is not.
    """
    from tokenclock.store.filter import checked_column

    return tuple(dict.fromkeys(checked_column(part.strip()) for part in text.split(",") if part.strip()))
