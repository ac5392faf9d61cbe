"""`tokenclock throughput` under a real mpirun: one engine, one client of a server, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.parallel.launching import launch, pypi_launcher
from tests.standins.models import write_checkpoint
from tests.standins.tensorrt_llm_package import write_package

from tokenclock import PacedServer


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    draws, path = np.random.default_rng(3), tmp_path / "d.jsonl"
    rows = [{"task_id": i, "input_ids": draws.integers(3, 2000, 20).tolist(), "output_tokens": 6} for i in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def words(model: Path | str, dataset: str, *flags: str) -> list[str]:
    return ["-m", "tokenclock", "--model", str(model), "throughput", "--dataset", dataset, "--disable-tqdm", *flags]


def test_two_ranks_of_an_engine_give_one_report(tmp_path: Path, dataset: str) -> None:
    package, checkpoint = write_package(tmp_path / "package", "1.2.1"), write_checkpoint(tmp_path / "model")
    report = tmp_path / "report.json"
    flags = ("--backend", "pytorch", "--tp", "2", "--streaming", "--concurrency", "4", "--report_json", str(report))
    short = {f"STANDIN_{name}_MS": "0.5" for name in ("PREFILL", "STEP", "SETUP")}
    ended = launch(pypi_launcher(), 2, words(checkpoint, dataset, *flags), PYTHONPATH=str(package), **short)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Total Latency (ms):") == 1
    content = json.loads(report.read_text())
    assert content["world_info"]["tp_size"] == content["world_info"]["world_size"] == 2
    performance = content["performance"]
    assert performance["output_throughput_per_gpu_tok_s"] == pytest.approx(
        performance["system_output_throughput_tok_s"] / 2
    )
    assert content["request_info"]["num_requests"] == 8


def test_two_ranks_are_one_client_of_a_server(tmp_path: Path, dataset: str) -> None:
    report = tmp_path / "report.json"
    with PacedServer(ttft_ms=5, itl_ms=1) as server:
        flags = ("--base-url", server.url, "--streaming", "--concurrency", "4", "--report_json", str(report))
        ended = launch(pypi_launcher(), 2, words("paced", dataset, *flags))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Total Latency (ms):") == 1
    content = json.loads(report.read_text())
    assert content["request_info"]["num_requests"] == 8
    assert content["tokenclock"]["ranks"]["n"] == 2


def test_a_runtime_of_one_process_is_not_started_twice(dataset: str) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed (pip install 'tokenclock[offline]')")
    ended = launch(pypi_launcher(), 2, words("tiny:llama", dataset))
    assert ended.returncode == 2
    assert ended.stderr.count("throughput runs in one process here") == 1
