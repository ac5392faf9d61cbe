"""A shipped example against a real server, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tokenclock.result import Result
from tokenclock.serving.real_server import missing_wheels

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(missing_wheels()), reason="the real server's wheels are not installed: make real-server"),
]

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def test_serve_ask_and_profile(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tokenclock", "sweep", str(EXAMPLES / "local_profile.yaml")]
    run = subprocess.run([*command, "--result-dir", str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    (point,) = json.loads((tmp_path / "index.json").read_text())["points"]
    assert point["status"] == "done"
    assert Result.load(tmp_path / point["file"]).requests["ok"] == 20
    readings = (tmp_path / "gemma/concurrency_4.metrics.jsonl").read_text().splitlines()
    predicted = [json.loads(line)["values"]["llamacpp:tokens_predicted_total"] for line in readings]
    assert predicted[-1] > predicted[0]
