"""The JSON of genai-perf: one object per metric, the configuration, and the whole native result under `tokenclock`."""

from __future__ import annotations

import json
import os
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.result import Result

__all__ = ["content", "write"]


def content(result: Result) -> dict[str, Any]:
    """What the file holds."""
    native = result.to_dict()
    face = native["faces"]["profile"]
    telemetry = {"telemetry_stats": face["telemetry"]} if face.get("telemetry") else {}
    return {
        **face["metrics"],
        **telemetry,
        "input_config": native["plan"]["asked"],
        "tokenclock": native,
    }


def write(result: Result, path: str | os.PathLike[str]) -> None:
    """Write the file whole or not at all. Raises OSError where it cannot be written."""
    with atomic_write(path) as file:
        file.write(json.dumps(content(result), indent=2, allow_nan=False).encode() + b"\n")
