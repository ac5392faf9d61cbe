"""Connections to the two kinds of databases, and what goes wrong with them as one line for the user."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from tokenclock.errors import TokenclockError, UsageError

__all__ = ["BUSY_S", "DatabaseRefused", "binary_rows", "connect", "is_url", "shown_place", "told"]

BUSY_S = 60.0
"""How long a writer waits for the others."""

_CONNECT_S = 10


class DatabaseRefused(UsageError):
    """The database cannot be reached or does not do what was asked: nothing is wrong with the question."""


def is_url(place: str) -> bool:
    """Whether `place` names a server and no file."""
    return "://" in place


def shown_place(place: str) -> str:
    """The place as it may be printed: a password in a URL is masked, up to the last @ where it has one unescaped."""
    if not is_url(place):
        return place
    scheme, _, rest = place.partition("://")
    account, at, server = rest.rpartition("@")
    user, colon, _ = account.partition(":")
    shown = f"{user}{':***' if colon else ''}{at}{server}"
    return f"{scheme}://" + re.sub(r"(?i)([?&][^=&]*password[^=&]*=)[^&]*", r"\1***", shown)


def connect(place: str, *, create: bool, read_only: bool) -> Engine:
    """An engine that opens connections as they are asked for; usable from several threads.

    Args:
        place: path of an SQLite file, or a URL ``postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE``.
        create: make a file that is not there.
        read_only: never write.

    Raises:
        UsageError: another scheme, or a file that is not there, is no regular file, or cannot be made.
        TokenclockError: psycopg is not installed.
    """
    return _server(place, read_only) if is_url(place) else _file(Path(place), create, read_only)


def _server(place: str, read_only: bool) -> Engine:
    try:
        url = make_url(place)
    except (ArgumentError, ValueError) as error:
        raise UsageError(
            f"the history must be a file or postgresql://USER@HOST/DATABASE, got {shown_place(place)}"
        ) from error
    if "@" in (url.host or ""):
        raise UsageError(f"an @ in a password must be written %40 in the history {shown_place(place)}")
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise UsageError(
            f"the history must be a file or postgresql://USER@HOST/DATABASE, got the scheme {url.drivername}"
        )
    settings: dict[str, Any] = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_S}
    if read_only:
        settings["options"] = "-c default_transaction_read_only=on"
    try:
        return create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool, connect_args=settings)
    except ImportError as error:
        raise TokenclockError(
            f"a history on PostgreSQL needs {error.name}; pip install 'tokenclock[postgresql]'"
        ) from error


def _file(path: Path, create: bool, read_only: bool) -> Engine:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        if not create or read_only:
            raise UsageError(
                f"there is no history at {path}: add runs first (tokenclock history add RESULT), or name it with "
                "--history"
            ) from error
        if not path.parent.is_dir():
            raise UsageError(f"--history {path}: there is no directory {path.parent}; make it first") from error
    except OSError as error:
        raise UsageError(f"cannot open the history {path}: {error.strerror or error}") from error
    else:
        if not stat.S_ISREG(mode):
            raise UsageError(f"the history must be a file, got {path}, which is none; give another")
    uri = f"file:{quote(os.path.abspath(path))}?mode={'ro' if read_only else 'rwc' if create else 'rw'}"
    engine = create_engine(URL.create("sqlite"), poolclass=NullPool, creator=lambda: _sqlite(uri, path))
    event.listen(engine, "begin", _begin)
    return engine


def _sqlite(uri: str, path: Path) -> sqlite3.Connection:
    """A connection whose transactions are ours to begin.

    A file that cannot be written is read as it lies: else SQLite leaves files beside it that its writers cannot write.
    """
    if path.is_file() and not _writable(path):
        return _unwritable(uri.partition("?")[0], path)
    try:
        return _opened(uri)
    except sqlite3.OperationalError:
        if not path.is_file() or _writable(path.parent) or _has_log(path):
            raise
        return _opened(f"{uri.partition('?')[0]}?mode=ro&immutable=1")


def _unwritable(uri: str, path: Path) -> sqlite3.Connection:
    if not _has_log(path):
        return _opened(f"{uri}?mode=ro&immutable=1")
    index = path.with_name(f"{path.name}-shm")  # of the log, which a writer has open
    return _opened(f"{uri}?mode=ro&readonly_shm={int(index.exists())}")


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA case_sensitive_like=ON")
        connection.execute("PRAGMA cache_size=-65536")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: Any) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def binary_rows(connection: Connection) -> Iterator[None]:
    """Within, PostgreSQL sends numbers as they lie in memory, not as text: many rows cost half the time to read."""
    if connection.dialect.name != "postgresql":
        yield
        return
    from psycopg import Cursor
    from psycopg.pq import Format

    class BinaryCursor(Cursor[Any]):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.format = Format.BINARY

    driver: Any = connection.connection.driver_connection
    usual = driver.cursor_factory
    driver.cursor_factory = BinaryCursor
    try:
        yield
    finally:
        driver.cursor_factory = usual


@contextlib.contextmanager
def told(place: str) -> Iterator[None]:
    """What the database says goes to the user as one DatabaseRefused that names the place."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        reason = next((line.strip() for line in str(origin).splitlines() if line.strip()), type(origin).__name__)
        raise DatabaseRefused(f"the history {shown_place(place)} {_remedy(place, reason)}") from error


def _remedy(place: str, reason: str) -> str:
    if "readonly" in reason or "read-only" in reason or "permission denied for" in reason:
        return f"cannot be written ({reason}): ask for the right to write, or give another --history"
    if "not a database" in reason or "malformed" in reason:
        return f"is no database of tokenclock ({reason}): give another --history"
    if "is locked" in reason:
        return f"is held by another program for more than {BUSY_S:.0f} s: try again when it has ended"
    if is_url(place):
        return f"cannot be reached or used ({reason}): check the server and the URL"
    return f"cannot be used ({reason}): give another --history"
