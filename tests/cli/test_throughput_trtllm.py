"""`tokenclock throughput` on the stand-in `tensorrt_llm`: the flow's command with --backend=pytorch, word for word."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.standins.models import write_checkpoint
from tests.standins.tensorrt_llm_package import write_package

from tokenclock.__main__ import main


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("tensorrt_llm", "tensorrt")]:
        del sys.modules[name]


@pytest.fixture(params=["1.2.1"])
def release(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("PREFILL", "STEP", "SETUP", "ENCODER"):
        monkeypatch.setenv(f"STANDIN_{name}_MS", "0.5")
    monkeypatch.setenv("TLLM_LOG_LEVEL", "error")
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "standin.log"))
    _forget()
    monkeypatch.syspath_prepend(str(write_package(tmp_path / "package", request.param)))
    yield request.param
    _forget()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    draws = np.random.default_rng(3)
    path = tmp_path / "d.jsonl"
    rows = [
        {"task_id": i, "input_ids": draws.integers(3, 32000, 20).tolist(), "output_tokens": 6 + i} for i in range(8)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(tmp_path: Path, dataset: Path, *flags: str) -> tuple[int, dict[str, Any]]:
    checkpoint, report = write_checkpoint(tmp_path / "llama"), tmp_path / "report.json"
    words = [
        "--model=llama_hf",
        f"--model_path={checkpoint}",
        "throughput",
        f"--dataset={dataset}",
        f"--report_json={report}",
        "--disable-tqdm",
        *(() if "--backend" in flags else ("--backend=pytorch",)),
        *flags,
    ]
    code = main(words)
    return code, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.parametrize("release", ["1.0.0", "1.2.1", "1.3.0rc26"], indirect=True)
def test_the_flows_command(release: str, tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = tmp_path / "extra-llm-api-config.yml"
    options.write_text("kv_cache_config:\n  free_gpu_memory_fraction: 0.75\n")
    code, report = run(
        *(tmp_path, dataset, "--max_batch_size=512", "--max_num_tokens=2048", "--num_requests=8", "--ep=1"),
        *("--concurrency=4", "--streaming", f"--extra_llm_api_options={options}"),
    )
    assert code == 0
    out = capsys.readouterr().out
    assert "= PYTORCH BACKEND" in out
    assert f"TensorRT LLM Version:   {release}" in out
    assert "KV Memory Percentage:   75.00%" in out
    assert report["engine"]["backend"] == "Pytorch"
    assert report["engine"]["version"] == release
    assert report["world_info"]["max_batch_size"] == 512
    assert report["world_info"]["max_num_tokens"] == 2048
    native = report["tokenclock"]
    assert native["model"]["details"]["options"]["kv_cache_config"]["enable_block_reuse"] is False
    assert native["tokens"]["osl"] == sum(6 + i for i in range(8))
    assert native["latencies"]["itl"]["n"] == sum(5 + i for i in range(8))
    assert native["client"]["max_in_flight"] == 4


def test_requests_are_in_flight_together(release: str, tmp_path: Path, dataset: Path) -> None:
    """All eight share the engine's iterations: were they one after the other, each would wait for the last."""
    code, report = run(tmp_path, dataset, "--streaming", "--warmup", "0")
    assert code == 0
    assert report["tokenclock"]["client"]["max_in_flight"] == 8
    assert report["request_info"]["avg_num_concurrent_requests"] > 3


def test_end_tokens_sampling_and_iterations(release: str, tmp_path: Path, dataset: Path) -> None:
    options, log = tmp_path / "sampling.yml", tmp_path / "iterations.jsonl"
    options.write_text("temperature: 0.7\n")
    asks = ("--iteration_log", str(log))
    code, report = run(
        tmp_path,
        dataset,
        "--eos_id",
        "2",
        "--sampler_options",
        str(options),
        "--streaming",
        "--concurrency",
        "1",
        *asks,
    )
    assert code == 0
    assert report["tokenclock"]["tokens"]["osl"] == sum((6 + i) // 2 for i in range(8)), "the stand-in ends half-way"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines
    assert [line["iter"] for line in lines] == list(range(len(lines)))


@pytest.mark.parametrize("release", ["1.0.0"], indirect=True)
def test_a_release_that_keeps_no_iterations_says_so(
    release: str, tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, dataset, "--iteration_log", str(tmp_path / "log"))[0] == 2
    assert "--iteration_log: tensorrt_llm 1.0.0 keeps nothing of its iterations" in capsys.readouterr().err


def test_a_refused_request_is_a_failure(
    release: str, tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    highest = max(max(json.loads(line)["input_ids"]) for line in dataset.read_text().splitlines())
    monkeypatch.setenv("STANDIN_VOCAB", str(highest))
    code, report = run(tmp_path, dataset, "--concurrency", "2", "--warmup", "0")
    assert code == 3
    assert report["tokenclock"]["requests"]["failed"] == 1
    assert "not in the vocabulary" in report["tokenclock"]["requests"]["failure_examples"]["stream_error"]
    assert "1 of 8 requests failed" in capsys.readouterr().err


def test_nothing_but_failures_is_exit_code_1(
    release: str, tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STANDIN_VOCAB", "1")
    code, report = run(tmp_path, dataset, "--warmup", "0")
    assert code == 1
    out, err = capsys.readouterr()
    assert "every request failed: token id" in err
    assert "Total Latency" not in out
    assert report["performance"]["total_latency_ms"] is None
    code, _ = run(tmp_path, dataset, "--warmup", "1")
    assert code == 1
    assert "a warm-up request failed: token id" in capsys.readouterr().err


def test_an_unknown_sampling_option_is_refused(
    release: str, tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = tmp_path / "sampling.yml"
    options.write_text("warmth: 3\n")
    code, _ = run(tmp_path, dataset, "--sampler_options", str(options), "--runtime", "trtllm-llm")
    assert code == 2
    assert "--sampler_options: " in capsys.readouterr().err


_LORA_REQUEST = """
import json, os

class LoRARequest:
    def __init__(self, lora_name, lora_int_id, lora_path=""):
        with open(os.environ["STANDIN_LOG"], "a") as file:
            file.write("LORA " + json.dumps([lora_name, lora_int_id, lora_path]) + "\\n")
"""


def test_adapters_reach_the_engine_where_it_knows_them(
    release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, asked = tmp_path / "d.jsonl", {"lora_name": "lora_1", "lora_int_id": 1, "lora_path": "/loras/1"}
    rows: list[dict[str, Any]] = [{"task_id": i, "input_ids": [5, 6, 7], "output_tokens": 3} for i in range(3)]
    rows[1]["lora_request"] = asked
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(tmp_path, dataset, "--warmup", "0")[0] == 2
    assert f"{dataset}:2: lora_request needs" in capsys.readouterr().err
    (tmp_path / "package" / "tensorrt_llm" / "executor.py").write_text(_LORA_REQUEST)
    _forget()
    code, report = run(tmp_path, dataset, "--warmup", "0")
    assert code == 0
    made = [line for line in (tmp_path / "standin.log").read_text().splitlines() if line.startswith("LORA ")]
    assert [json.loads(line.removeprefix("LORA ")) for line in made] == [list(asked.values())]
    assert report["tokenclock"]["workload"]["lora"] == {"lora_1": 1}
