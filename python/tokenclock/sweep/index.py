"""`index.json` of a sweep: every point, where it stands and where its files are; rewritten whole after each step."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.standard_error import say_on_stderr
from tokenclock.sweep.flags import masked
from tokenclock.sweep.points import Point

__all__ = ["DONE", "SCHEMA_VERSION", "Entry", "Index", "now", "refuse_running"]

SCHEMA_VERSION = "1.0"
DONE, FAILED, INCOMPLETE, NOT_RUN = "done", "failed", "incomplete", "not run"
_NAME = "index.json"


@dataclass
class Entry:
    """One point of the sweep.

    Args:
        server: the server's name.
        folder, file, log: below the result directory; `file` is there once the point is done.
        axes: axis -> value.
        repeat: from 1.
        command: as it was run, secrets masked.
        fingerprint: of everything that decides what it measures.
        status: done, failed, incomplete (interrupted; its file holds what was measured) or not run.
        exit_code: of its command; 3: measured, but a gate was missed.
        failure: why it failed, in one line.
        started: ISO 8601.
        took_s: how long its command ran.
        files: kind -> further file.
    """

    server: str
    folder: str
    file: str
    log: str
    axes: dict[str, Any]
    repeat: int
    command: str
    fingerprint: str
    status: str = NOT_RUN
    exit_code: int | None = None
    failure: str | None = None
    started: str | None = None
    took_s: float | None = None
    files: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """As the point's: server's folder and stem of the files' names."""
        return f"{self.folder}/{Path(self.log).stem}"


class Index:
    """The index of one result directory.

    Args:
        result_dir: made if it is not there.
        sweep: the YAML as it was understood, secrets masked.

    Raises:
        UsageError: the directory cannot be written, or another sweep is writing into it.
    """

    def __init__(self, result_dir: Path, sweep: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        self.path = result_dir / _NAME
        self.entries: dict[str, Entry] = {}
        self.earlier: dict[str, Entry] = {}  # done by an earlier sweep, their files whole
        self._refused = False
        self._head: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "kind": "sweep",
            "created": now(),
            "finished": None,
            "incomplete": True,
            "sweep": dict(sweep),
            "servers": {},
            "search": None,
            "compare": None,
        }
        try:
            result_dir.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(result_dir)
            with atomic_write(result_dir / "environment.json") as file:
                file.write(_json(environment))
        except OSError as error:
            raise UsageError(
                f"result_dir must be a directory that can be written to, got {result_dir} ({error.strerror or error})"
            ) from None

    def close(self) -> None:
        """Let another sweep write into the directory."""
        self._lock.close()

    def add(self, point: Point) -> Entry:
        """The entry of a point, made at the first call."""
        if point.key not in self.entries:
            folder = point.variant.folder
            self.entries[point.key] = Entry(
                server=point.variant.server.name,
                folder=folder,
                file=f"{folder}/{point.stem}.json",
                log=f"{folder}/{point.stem}.log",
                axes=dict(point.axes),
                repeat=point.repeat,
                command=masked(["tokenclock", *point.argv]),
                fingerprint=point.fingerprint,
            )
        return self.entries[point.key]

    def taken_over(self, point: Point) -> Entry | None:
        """The entry of a point that an earlier sweep has done, by the same command; None otherwise."""
        old = self.earlier.get(point.key)
        if old is None or old.fingerprint != point.fingerprint:
            return None
        self.entries[point.key] = old
        return old

    def note_server(self, folder: str, **facts: Any) -> None:
        """Keep what was seen of a server, one mapping for each of its starts."""
        self._head["servers"].setdefault(folder, []).append(facts)

    def note(self, name: str, value: Any) -> None:
        """Keep a value at the top of the file."""
        self._head[name] = value

    def save(self, *, finished: bool = False) -> None:
        """Write the file, whole; where the disk refuses, that is said once, and the sweep goes on."""
        entries = self.entries.values()
        self._head["finished"] = now() if finished else None
        self._head["incomplete"] = any(entry.status != DONE for entry in entries)
        try:
            with atomic_write(self.path) as file:
                file.write(_json({**self._head, "points": [asdict(entry) for entry in entries]}))
        except OSError as error:
            if not self._refused:
                say_on_stderr(
                    f"tokenclock sweep: {self.path} cannot be written ({error.strerror or error}): --resume will not "
                    "know what is done since; free space there"
                )
            self._refused = True


def _locked(result_dir: Path) -> BinaryIO:
    """A lock that ends with this process, however it ends."""
    file = (result_dir / ".sweep.lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UsageError(
            f"another sweep is writing into {result_dir}; wait for it, or give another result_dir"
        ) from None
    return file


def refuse_running(result_dir: Path) -> None:
    """Raises UsageError where another sweep is writing into the directory; makes nothing."""
    if (result_dir / ".sweep.lock").exists():
        try:
            _locked(result_dir).close()
        except OSError:
            return  # it cannot be written; whoever is going to write says so


def now() -> str:
    """This moment in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def read_entries(result_dir: Path) -> list[Entry] | None:
    """The entries of an earlier sweep into the directory; None where there was none.

    Raises:
        UsageError: its index cannot be read, or is of a newer schema.
    """
    path = result_dir / _NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version = str(found["schema_version"])
        if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
            raise UsageError(
                f"{path} has schema {version}, expected {SCHEMA_VERSION}: use the tokenclock that wrote it"
            )
        known = set(Entry.__dataclass_fields__)
        return [Entry(**{name: value for name, value in entry.items() if name in known}) for entry in found["points"]]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"{path} is no whole index of a sweep ({error}); remove it, or give another result_dir"
        ) from None


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, default=str) + "\n").encode()


def folders(entries: Sequence[Entry]) -> list[str]:
    """Folders that hold results, in the order of the servers."""
    return list(dict.fromkeys(entry.folder for entry in entries if entry.status == DONE))
