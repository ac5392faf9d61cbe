"""The JSON files of `trtllm-bench`: `report_json`, `request_json`, `output_json`; ours stands under `tokenclock`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.result import Result

__all__ = ["FACE", "report", "write_json", "write_lines"]

FACE = "trtllm_bench"


def report(result: Result) -> dict[str, Any]:
    """The content of ``report_json``: the original's sections, and the whole native result under ``tokenclock``."""
    native = result.to_dict()
    return {**native["faces"][FACE]["sections"], "tokenclock": native}


def write_json(value: Mapping[str, Any] | list[Any], path: str | os.PathLike[str]) -> None:
    """Write a file whole or not at all, indented by 4 as the original does.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_write(path) as file:
        file.write(json.dumps(value, indent=4, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))
        file.write(b"\n")


def write_lines(values: list[Any], path: str | os.PathLike[str]) -> None:
    """Write JSON lines whole or not at all. Raises OSError."""
    with atomic_write(path) as file:
        for value in values:
            file.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
