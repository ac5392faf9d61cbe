"""`serving --gpu-telemetry` as a user types it, on the stand-in of NVML and without any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import stand_ins

from tokenclock import PacedServer
from tokenclock.result import Result


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=10, itl_ms=2) as paced:
        yield paced


def serving(url: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tokenclock", "serving", "--model", "paced", "--base-url", url]
    command += ["--dataset-name", "random", "--random-ids", "--random-input-len", "8", "--random-output-len", "6"]
    command += ["--num-prompts", "20", "--max-concurrency", "4", "--ignore-eos", "--gpu-telemetry"]
    command += ["--save-result", "--result-dir", str(folder), "--result-filename", "a.json"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}, check=False
    )


def test_a_section_of_its_own_and_a_key_in_the_file(server: PacedServer, tmp_path: Path) -> None:
    gpus = stand_ins.FakeGpus(tmp_path / "gpus.txt")
    gpus.set("gpus 2", "used 0 2147483648", f"process 0 {server.pid} 1073741824", "used 1 0")
    run = serving(
        server.url, tmp_path, LD_LIBRARY_PATH=str(stand_ins.directory()), FAKE_NVML_STATE=str(gpus.path),
        FAKE_CUDA_DEVICES="2", CUDA_VISIBLE_DEVICES="",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    table, _, rest = run.stdout.partition("=============== GPUs of this host ================\n")
    section, _, quality = rest.partition("\n\n")
    assert table.startswith("============ Serving Benchmark Result ============")
    assert "Peak memory, device (GiB):               2.00\n" in section
    assert "Peak memory, processes (GiB):            1.00\n" in section
    assert "GPU 1: Stand-in GPU\nPeak memory, device (GiB):               0.00\n" in section
    assert "Verdict: " in quality
    gpu = json.loads((tmp_path / "a.json").read_text())["tokenclock"]["gpu"]
    assert gpu["server_is_on_this_host"] is True
    assert gpu["usage"]["peak_process_bytes"] == 1 << 30
    result = Result.load(tmp_path / "a.json")
    assert result.environment["gpu"]["driver_version"] == "550.54.15"
    assert result.plan["server"]["gpu_telemetry"] is True


def test_without_nvml_one_line_and_the_run_goes_on(server: PacedServer, tmp_path: Path) -> None:
    for name in stand_ins.LIBRARIES.values():
        (tmp_path / name).write_text("no library")
    run = serving(server.url, tmp_path, LD_LIBRARY_PATH=str(tmp_path))
    assert run.returncode == 0, run.stderr
    told = [line for line in run.stderr.splitlines() if "GPU" in line]
    assert len(told) == 1
    assert told[0].startswith("tokenclock serving: no GPU telemetry: ")
    assert "n/a: no NVML" in run.stdout
    result = Result.load(tmp_path / "a.json")
    assert result.environment["gpu"] is None
    assert result.gpu is not None
    assert result.gpu["usage"]["energy_j"] is None
