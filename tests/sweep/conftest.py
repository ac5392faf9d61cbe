"""The fixture that writes a sweep's file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.sweep.files import benchmark


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A YAML file (JSON is YAML) of the given keys, with results in `tmp_path/out`."""

    def write_file(keys: Mapping[str, Any] | None = None, **more: Any) -> Path:
        content = {
            "result_dir": str(tmp_path / "out"),
            "benchmark": benchmark(**{"num-prompts": 4}),
            "matrix": {"concurrency": [1, 2]},
            "metrics_interval": 0,
            "expected": {"start": 1, "ttft": 5, "itl": 1, "point": 1},
            **(keys or {}),
            **more,
        }
        path = tmp_path / "sweep.yaml"
        path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}, indent=1))
        return path

    return write_file
