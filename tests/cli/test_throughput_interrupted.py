"""Ctrl-C in a run on a runtime in this process: what was measured is in the report, and the exit code is 130."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed (pip install 'tokenclock[offline]')")


def test_ctrl_c_in_the_warm_up_ends_it(tmp_path: Path) -> None:
    dataset, report = tmp_path / "d.jsonl", tmp_path / "report.json"
    dataset.write_text('{"task_id": 0, "input_ids": [5, 6, 7], "output_tokens": 2000}\n')
    command = [
        *(sys.executable, "-m", "tokenclock", "--model", "tiny:llama", "throughput", "--dataset", str(dataset)),
        *("--warmup", "100000", "--report_json", str(report), "--disable-tqdm"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(report.read_text())["tokenclock"]["requests"]["by_status"] == {"not_sent": 1}


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    draws = np.random.default_rng(3)
    dataset, report = tmp_path / "d.jsonl", tmp_path / "report.json"
    with dataset.open("w") as file:
        for i in range(3000):
            row = {"task_id": i, "input_ids": draws.integers(3, 2048, 40).tolist(), "output_tokens": 200}
            file.write(json.dumps(row) + "\n")
    command = [
        *(sys.executable, "-m", "tokenclock", "--model", "tiny:llama", "throughput", "--dataset", str(dataset)),
        *("--concurrency", "4", "--streaming", "--report_json", str(report), "--disable-tqdm"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "side by side" in process.stderr.readline(), "said when the model is loaded"
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "SIGINT: stopping, and saving what was measured" in err
    native = json.loads(report.read_text())["tokenclock"]
    assert native["incomplete"] is True
    assert 0 < native["requests"]["ok"] < 3000
    assert native["requests"]["by_status"]["not_sent"] > 0
    assert "Total Latency (ms):" in out
    assert "the run was interrupted" in " ".join(out.split())
