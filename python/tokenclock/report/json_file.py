"""The JSON file of ``benchmark_serving``, with the whole native result under ``tokenclock``."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.result import Result

__all__ = ["content", "write"]


def content(result: Result, detailed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the file holds: the original's keys, the arrays of ``--save-detailed`` where given, and ``tokenclock``."""
    native = result.to_dict()
    return {**native["faces"]["serving"]["values"], **(detailed or {}), "tokenclock": native}


def write(result: Result, path: str | os.PathLike[str], detailed: Mapping[str, Any] | None = None) -> None:
    """Write the file whole or not at all.

    Args:
        result: of a serving run.
        path: the file; its directory must exist.
        detailed: ``metrics.serving_face.detailed_arrays`` of the run, for ``--save-detailed``.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", write_through=True)
        json.dump(content(result, detailed), text, allow_nan=False)
        text.write("\n")
        text.detach()
