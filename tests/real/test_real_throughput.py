"""`tokenclock throughput` against a real LLM server, as a user types it: lengths kept, the flow's patterns found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tokenclock.serving.real_server import RealServer, missing_wheels

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(missing_wheels()), reason="the real server's wheels are not installed: make real-server"),
]

N, ISL, OSL = 8, 24, 16


def test_rows_of_ids_on_a_real_server(tmp_path: Path) -> None:
    draws, dataset, report = np.random.default_rng(3), tmp_path / "d.jsonl", tmp_path / "report.json"
    rows = [
        {"task_id": i, "input_ids": draws.integers(300, 9000, ISL).tolist(), "output_tokens": OSL} for i in range(N)
    ]
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with RealServer() as server:
        command = [
            *(sys.executable, "-m", "tokenclock", "--model", RealServer.model, "throughput"),
            *("--dataset", str(dataset), "--base-url", server.url, "--concurrency", "4", "--streaming"),
            *("--report_json", str(report), "--disable-tqdm"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Average time-to-first-token \[TTFT\] \(ms\):\s+([\d\.]+)", done.stdout)
    content = json.loads(report.read_text())
    assert content["request_info"]["num_requests"] == N
    assert content["request_info"]["avg_output_length"] == OSL
    # the server adds a begin token of its own where the model has one
    assert content["request_info"]["avg_input_length"] in (ISL, ISL + 1)
