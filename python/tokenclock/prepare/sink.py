"""Where a request file goes: a file that is whole or not there, or standard output; hashed while it is written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tokenclock.atomic_file import atomic_write, clear_stale_parts
from tokenclock.errors import MeasurementError, UsageError

__all__ = ["Sink", "open_sink"]


class Sink:
    """Takes bytes; knows their number and SHA-256."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.n_bytes = 0

    def write(self, data: bytes) -> None:
        """Raises OSError where it cannot be written."""
        self._file.write(data)
        self._digest.update(data)
        self.n_bytes += len(data)

    def sha256(self) -> str:
        """Of everything written so far, hex."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def open_sink(path: str | None) -> Iterator[Sink]:
    """A sink to the file `path`, whose folder is created, or to standard output.

    Raises UsageError where the folder cannot be made, MeasurementError (exit 1) where the disk fills up.
    """
    if path is None:
        try:
            sys.stdout.flush()
            yield Sink(sys.stdout.buffer)
            sys.stdout.flush()
        except BrokenPipeError:  # its reader has gone, which is no error of ours
            raise
        except OSError as error:
            _send_the_rest_nowhere()
            raise MeasurementError(f"cannot write to standard output: {error.strerror or error}") from error
        return
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"--output must name a file, got the directory {path}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():  # a device or a pipe cannot be replaced
            with open(target, "wb") as file:
                yield Sink(file)
            return
        clear_stale_parts(target.parent, target.stem)
        with atomic_write(target) as file:
            yield Sink(file)
    except OSError as error:
        place = os.fspath(getattr(error, "filename", None) or path)
        raise MeasurementError(f"--output: cannot write {place}: {error.strerror or error}") from error


def _send_the_rest_nowhere() -> None:
    """What is still in the buffer, so that the interpreter does not fail on it at its end."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
