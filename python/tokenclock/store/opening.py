"""Brings a database to the newest schema when it is opened, or says why it cannot be."""

from __future__ import annotations

import sqlite3
import time

from sqlalchemy import Connection, Engine, inspect, text

from tokenclock.errors import UsageError
from tokenclock.store.engine import BUSY_S, shown_place, told
from tokenclock.store.migrations import NEWEST, statements

__all__ = ["LOCK", "bring_up_to_date", "version_of"]

LOCK = 0x746B636C  # one advisory lock of PostgreSQL for all writers of a history: they take turns, as with SQLite


def version_of(connection: Connection) -> int:
    """Of the schema; 0 for a database without one of ours.

    Raises:
        UsageError: what stands there is no version.
    """
    if not inspect(connection).has_table("tokenclock_schema"):
        return 0
    found = connection.execute(text("SELECT version FROM tokenclock_schema")).scalars().all()
    if len(found) != 1 or not str(found[0]).isascii() or not str(found[0]).isdigit():
        told = ", ".join(str(one)[:40] for one in found[:3]) or "none"
        raise UsageError(
            f"the table tokenclock_schema of the history must hold one version number, got {told}: the history is "
            "damaged; restore it, or give another --history"
        )
    return int(found[0])


def bring_up_to_date(engine: Engine, place: str, *, create: bool, read_only: bool) -> None:
    """Run the migrations that lack, all or none.

    Raises:
        UsageError: a newer schema, one that would have to be changed and must not be, or no history at all.
    """
    with told(place):
        with engine.connect() as connection, connection.begin():
            found = version_of(connection)
        if found == NEWEST:
            return
        _check(found, place, create=create, read_only=read_only)
        if engine.dialect.name == "sqlite" and found == 0:
            _use_log(engine)
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            found = version_of(connection)  # another process may have been faster
            _check(found, place, create=create, read_only=read_only)
            for statement in statements(engine.dialect.name, found):
                connection.exec_driver_sql(statement)


def _check(found: int, place: str, *, create: bool, read_only: bool) -> None:
    if found > NEWEST:
        raise UsageError(
            f"the history {shown_place(place)} has schema version {found}, this tokenclock knows up to {NEWEST}: use "
            "the tokenclock that wrote it, or a later one"
        )
    if found == 0 and (read_only or not create):
        raise UsageError(f"{shown_place(place)} holds no history: add runs first (tokenclock history add RESULT)")
    if found < NEWEST and read_only:
        raise UsageError(
            f"the history {shown_place(place)} has schema version {found}, and {NEWEST} is needed: open it once with "
            "the right to write (tokenclock history list)"
        )


def _use_log(engine: Engine) -> None:
    """Readers of a file then do not wait for writers. The change itself does not wait for others, so it is tried."""
    until_s = time.monotonic() + BUSY_S
    while True:
        try:
            connection = engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until_s:
                raise
            time.sleep(0.02)
        else:
            return
