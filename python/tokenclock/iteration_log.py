"""The event log of an offline run: ``plan.json`` and parts of about a second each, so that a killed run loses only the
last one. Parts hold whole rows of ``IterationRecords``; each rank writes its own. ``read`` puts them together again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.iteration_records import (
    IterationRecords,
    concatenate,
    iterations_from_arrays,
    iterations_to_arrays,
)
from tokenclock.log_parts import read_parts
from tokenclock.open_files import is_out_of_files
from tokenclock.standard_error import say_on_stderr

__all__ = ["IterationLog", "read"]

FORMAT = 1
PART_INTERVAL_S = 1.0


class IterationLog:
    """Writes a rank's iterations while the run goes on.

    Args:
        directory: made if it is not there; must be empty of parts when the first rank comes.
        plan: JSON-ready; written to ``plan.json`` by rank 0.
        rank: of this process.
        warn: told once, in one line, when the disk refuses; the run goes on without the log.

    Raises:
        UsageError: the directory holds another run's parts, or cannot be written.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        plan: Mapping[str, Any],
        rank: int,
        warn: Callable[[str], None],
    ) -> None:
        self._directory, self._rank, self._warn = Path(directory), rank, warn
        self._n_parts, self.broken = 0, False
        self._header: dict[str, Any] = {"format": FORMAT, "complete": False, "plan": dict(plan), "cases": []}
        self._t_due_s = time.monotonic() + PART_INTERVAL_S
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            if any(self._directory.glob(f"part-r{rank:04d}-*.npz")):
                raise UsageError(f"--save-events {directory} holds the events of another run: name a new directory")
            if rank == 0:
                self._write_header()
        except OSError as error:
            raise UsageError(f"--save-events {directory} cannot be written: {error.strerror or error}") from error

    def due(self) -> bool:
        """Whether it is time for the next part (about every second)."""
        return not self.broken and time.monotonic() >= self._t_due_s

    def write(self, rows: IterationRecords) -> None:
        """Write one part of rows that no part had before."""
        self._t_due_s = time.monotonic() + PART_INTERVAL_S
        if not self.broken and len(rows):
            self._guard(lambda: self._write_part(rows))

    def case_ended(self, entry: Mapping[str, Any]) -> None:
        """Note what became of a case: ``index``, ``status``, ``reason``. Rank 0 calls."""
        self._header["cases"].append({key: entry.get(key) for key in ("index", "status", "reason")})
        if not self.broken:
            self._guard(self._write_header)

    def finish(self, *, incomplete: bool) -> None:
        """Close the log; without it the log reads as the log of a killed run. Rank 0 calls, after the last part."""
        self._header["complete"] = not incomplete
        if not self.broken:
            self._guard(self._write_header)

    def _guard(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self.broken = True
            remedy = f"free space under {self._directory}"
            if is_out_of_files(error):
                remedy = "raise `ulimit -n`"
            self._warn(
                f"event log stopped after part {self._n_parts}: {error.strerror or error}; "
                f"the run goes on without it, {remedy} for the next one"
            )

    def _write_header(self) -> None:
        with atomic_write(self._directory / "plan.json") as file:
            file.write(json.dumps(self._header, indent=1).encode("ascii"))

    def _write_part(self, rows: IterationRecords) -> None:
        name = f"part-r{self._rank:04d}-{self._n_parts + 1:06d}.npz"
        with atomic_write(self._directory / name) as file:
            np.savez(file, **iterations_to_arrays(rows))  # type: ignore[arg-type]
        self._n_parts += 1


def read(
    directory: str | os.PathLike[str], say: Callable[[str], None] = say_on_stderr
) -> tuple[dict[str, Any], IterationRecords, Sequence[Mapping[str, Any]], bool]:
    """Read an event log.

    Returns:
        plan, the rows of all ranks, what became of the cases that ended, and whether the run was incomplete.
        A damaged part is said and left out, and the run is then incomplete.

    Raises:
        UsageError: not an event log, or no part of it can be read.
    """
    folder = Path(directory)
    try:
        header = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        if header["format"] != FORMAT:
            raise UsageError(f"{folder} has event log format {header['format']}, expected {FORMAT}")
        parts, damaged = read_parts(folder, "part-r*.npz", _load, say)
        return header["plan"], concatenate(parts), header["cases"], bool(damaged) or not header["complete"]
    except (OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"{folder} is no event log of benchmark: expected plan.json and part-r*.npz of --save-events ({error})"
        ) from error


def _load(path: Path) -> IterationRecords:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        return iterations_from_arrays(dict(arrays))
