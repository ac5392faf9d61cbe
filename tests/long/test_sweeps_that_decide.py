"""A sweep of six interleaved repeats: a server against itself, and against one that is 10 % slower. `make long`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.sweep.files import benchmark, paced, sweep

pytestmark = pytest.mark.skipif("TOKENCLOCK_LONG" not in os.environ, reason="takes two minutes: make long")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    slower = "{python} -m tokenclock paced-server --port {port} --ttft-ms 44 --itl-ms 11"
    same = slower.replace("44", "40").replace("11", "10")
    keys = {
        "result_dir": str(folder / "out"),
        "servers": [
            {**paced("a"), "command": same},
            {**paced("a_again"), "command": same},
            {**paced("slower"), "command": slower},
        ],
        "benchmark": benchmark(**{"prompts_per_concurrency": 6, "random-output-len": 24, "num-warmups": 4}),
        "matrix": {"concurrency": [4]},
        "repeat": 6,
        "order": "interleaved",
        "metrics_interval": 0,
    }
    (folder / "sweep.yaml").write_text(json.dumps(keys))
    run = sweep(folder / "sweep.yaml")
    assert run.returncode == 0, run.stderr
    return folder / "out"


def verdicts(results: Path, other: str) -> dict[str, str]:
    """Metric -> verdict of a server against `a`; those that six runs say nothing of are left out."""
    command = [sys.executable, "-m", "tokenclock", "compare", str(results / "a"), str(results / other)]
    out = results / f"{other}.json"
    subprocess.run([*command, "--json", str(out)], check=True, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(out.read_text())
    (point,) = found["points"]
    return {row["metric"]: row["verdict"] for row in point["rows"]}


def test_a_server_and_itself_show_no_difference(results: Path) -> None:
    assert set(verdicts(results, "a_again").values()) == {"no difference shown"}


def test_ten_percent_are_called(results: Path) -> None:
    found = verdicts(results, "slower")
    for metric in ("ttft.p50", "tpot.p50", "itl.p50", "e2el.p50"):  # means hang on what else the machine does
        assert found[metric] == "worse", found
    assert "better" not in found.values()
