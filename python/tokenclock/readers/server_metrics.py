"""The readings of a server's `/metrics` that `sweep` keeps beside the result of each point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["metrics_path", "read"]

_LEVELS = 4  # folders above a result in which the index of its sweep is looked for


def metrics_path(result: Path) -> Path | None:
    """The file of a result: ``NAME.metrics.jsonl`` beside it, else the one that the index of its sweep names."""
    beside = result.with_name(f"{result.stem}.metrics.jsonl")
    if beside.is_file():
        return beside
    for folder in result.resolve().parents[:_LEVELS]:
        try:
            points = json.loads((folder / "index.json").read_text(encoding="utf-8"))["points"]
            mine = next(point for point in points if (folder / point["file"]).resolve() == result.resolve())
            named = folder / mine["files"]["metrics"]
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            continue
        return named if named.is_file() else None
    return None


def read(path: Path) -> list[dict[str, Any]]:
    """Its readings, in the order of the file; lines that are none (a cut one at its end) are passed over.

    Raises:
        OSError: it cannot be read.
    """
    found = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                reading = json.loads(line)
                int(reading["monotonic_ns"])
            except (ValueError, KeyError, TypeError):
                continue
            found.append(reading)
    return found
