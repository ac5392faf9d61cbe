"""``<stem>.pytorch.json``: one record per metric, for the dashboards of the PyTorch project.

Written only while the environment variable ``SAVE_TO_PYTORCH_BENCHMARK_FORMAT`` is set, as the original does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.result import Result

__all__ = ["content", "is_wanted", "pytorch_path", "write"]

_METRICS = tuple(
    f"{statistic}_{tag}_ms" for tag in ("ttft", "tpot", "itl") for statistic in ("mean", "median", "std", "p99")
)


def is_wanted() -> bool:
    """Whether the environment asks for the file."""
    return bool(os.environ.get("SAVE_TO_PYTORCH_BENCHMARK_FORMAT"))


def pytorch_path(result_path: str | os.PathLike[str]) -> Path:
    """``run.json`` -> ``run.pytorch.json``."""
    return Path(result_path).with_suffix(".pytorch.json")


def content(result: Result) -> list[dict[str, Any]]:
    """The records; a metric that was not selected or not measured has none."""
    native = result.to_dict()
    values = native["faces"]["serving"]["values"]
    extra = {key: value for key, value in values.items() if key not in _METRICS}
    return [
        {
            "benchmark": {"name": "tokenclock serving", "extra_info": {"args": native["plan"]}},
            "model": {"name": values["model_id"]},
            "metric": {"name": name, "benchmark_values": [values[name]], "extra_info": extra},
        }
        for name in _METRICS
        if values.get(name) is not None
    ]


def write(result: Result, path: str | os.PathLike[str]) -> None:
    """Write the records whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_write(path) as file:
        file.write(json.dumps(content(result), allow_nan=False).encode("ascii"))
