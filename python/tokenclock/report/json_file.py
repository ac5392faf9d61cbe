"""The JSON file of ``benchmark_serving``, with the whole native result under ``tokenclock``."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
from collections.abc import Mapping
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.report.format import NOT_MEASURED
from tokenclock.result import Result

__all__ = ["append", "content", "write", "write_plain"]


def content(result: Result, detailed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the file holds: the original's keys, the arrays of ``--save-detailed`` where given, and ``tokenclock``.

    benchmark.py wrote no JSON: of an offline run ``benchmark`` is the list of its lines, as mappings.
    """
    native = result.to_dict()
    if result.kind == "benchmark":
        return {"benchmark": _lines(native), "tokenclock": native}
    return {**native["faces"]["serving"]["values"], **(detailed or {}), "tokenclock": native}


def _lines(native: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values of each ``[BENCHMARK]`` line, null for n/a, and what became of the case."""
    lines = []
    for values, case in zip(native["faces"]["benchmark"]["cases"], native["cases"], strict=True):
        known = {key: None if value == NOT_MEASURED else value for key, value in values.items()}
        lines.append({**known, "status": case["status"], "reason": case["reason"]})
    return lines


def write(result: Result, path: str | os.PathLike[str], detailed: Mapping[str, Any] | None = None) -> None:
    """Write the file whole or not at all.

    Args:
        result: of any run.
        path: the file; its directory must exist.
        detailed: ``metrics.serving_face.detailed_arrays`` of the run, for ``--save-detailed``.

    Raises:
        OSError: the file cannot be written.
    """
    write_plain(content(result, detailed), path)


def write_plain(value: Any, path: str | os.PathLike[str]) -> None:
    """Write any JSON value whole or not at all."""
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", write_through=True)
        json.dump(value, text, allow_nan=False)
        text.write("\n")
        text.detach()


def append(result: Result, path: str | os.PathLike[str], detailed: Mapping[str, Any] | None = None) -> None:
    """Add what `write` would write as one line to the end of a file, made if it is not there.

    Where the disk refuses, the file is as it was. A line that an earlier writer left unended is ended first, so that it
    costs itself alone. Runs that add at the same time wait for each other, where the file system has locks.

    Raises:
        OSError: the file cannot be written.
    """
    line = json.dumps(content(result, detailed), allow_nan=False).encode() + b"\n"
    with open(path, "ab+", buffering=0) as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        size = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(line)
            while left:  # a disk that is nearly full takes a part
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), size)  # half a line would cost its readers the whole ones
            raise
