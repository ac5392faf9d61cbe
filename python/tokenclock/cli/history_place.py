"""Where the history is: `--history`, else a variable, else a file in the user's data folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.store.database import Database

__all__ = ["add_place_flag", "default_place", "history_place", "open_history"]

VARIABLE = "TOKENCLOCK_HISTORY"


def add_place_flag(parser: argparse.ArgumentParser) -> None:
    """`--history`."""
    parser.add_argument(
        "--history",
        metavar="PLACE",
        help=f"SQLite file, or postgresql://USER@HOST/DATABASE (default: ${VARIABLE}, else "
        "$XDG_DATA_HOME/tokenclock/history.sqlite, else ~/.local/share/tokenclock/history.sqlite)",
    )


def default_place() -> Path:
    """The file where none is named; not made here."""
    data = os.environ.get("XDG_DATA_HOME") or ""
    folder = Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share"
    return folder / "tokenclock" / "history.sqlite"


def history_place(given: str | None) -> str:
    """File or URL.

    Raises:
        UsageError: an empty name was given.
    """
    if given is not None and not given.strip():
        raise UsageError("--history must be a file or postgresql://USER@HOST/DATABASE, got nothing")
    return given or os.environ.get(VARIABLE) or str(default_place())


def open_history(given: str | None, *, create: bool = False) -> Database:
    """The database at that place, up to date.

    Args:
        given: of `--history`.
        create: make it where it is not there; the default's folder too.

    Raises:
        UsageError: it cannot be opened.
        TokenclockError: SQLAlchemy or psycopg is not installed.
    """
    from tokenclock.store.database import open_database

    place = history_place(given)
    if create and place == str(default_place()):
        try:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot make {Path(place).parent} ({error.strerror or error}): name another file with --history"
            ) from error
    return open_database(place, create=create)
