"""`tokenclock throughput --backend=tensorrt --engine_dir=` on a stand-in: the flow's command, requests in flight."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.standins.models import write_checkpoint, write_engine
from tests.standins.tensorrt_llm_package import write_package

from tokenclock.__main__ import main
from tokenclock.parallel import OneProcess
from tokenclock.runtime import trtllm_engine_in_flight
from tokenclock.runtime.in_flight import InFlightOptions, InFlightRequest, Sampling
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.throughput.load import run_in_flight


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("tensorrt_llm", "tensorrt")]:
        del sys.modules[name]


@pytest.fixture(params=["1.2.1"])
def release(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("PREFILL", "STEP"):
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


def run(tmp_path: Path, dataset: Path, *flags: str, **engine: Any) -> tuple[int, dict[str, Any]]:
    """The flow's command, with an engine and its checkpoint."""
    engine.setdefault("build", {"plugin_config": {"remove_input_padding": True, "use_paged_context_fmha": True}})
    folder, report = write_engine(tmp_path / "engine", **engine), tmp_path / "report.json"
    words = [
        "--model=llama_hf",
        f"--model_path={write_checkpoint(tmp_path / 'llama')}",
        "throughput",
        f"--dataset={dataset}",
        "--max_batch_size=16",
        "--max_num_tokens=2048",
        f"--report_json={report}",
        "--backend=tensorrt",
        f"--engine_dir={folder}",
    ]
    code = main([*words, *flags, "--disable-tqdm"])
    return code, json.loads(report.read_text()) if report.exists() else {}


def made(tmp_path: Path) -> str:
    """What the executor was made with, as the stand-in wrote it down."""
    lines = (tmp_path / "standin.log").read_text().splitlines()
    return next(line for line in lines if line.startswith("EXECUTOR "))


@pytest.mark.parametrize("release", ["0.19.0", "1.0.0", "1.2.1"], indirect=True)
def test_the_flows_command(release: str, tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = run(tmp_path, dataset, "--num_requests=8", "--concurrency=4", "--ep=1", "--streaming")
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "= ENGINE DETAILS" in out
    assert f"TensorRT LLM Version:   {release}" in out
    assert f"Engine Directory:       {tmp_path / 'engine'}" in out
    assert "Max Input Length:       512" in out
    assert "Max Sequence Length:    600" in out
    assert "KV Memory Percentage:   90.00%" in out
    assert report["engine"]["backend"] == "TRT"
    assert report["engine"]["engine_dir"] == str(tmp_path / "engine")
    assert report["engine"]["model_path"] == str(tmp_path / "llama")
    assert (report["engine"]["max_input_length"], report["engine"]["max_sequence_length"]) == (512, 600)
    assert (report["world_info"]["max_batch_size"], report["world_info"]["max_num_tokens"]) == (16, 2048)
    native = report["tokenclock"]
    assert native["model"]["runtime"] == "trtllm-engine"
    assert native["tokens"]["osl"] == sum(6 + i for i in range(8)), "the prompt is no part of the answer"
    assert native["latencies"]["itl"]["n"] == sum(5 + i for i in range(8)), "each token has a stamp of its own"
    assert native["client"]["max_in_flight"] == 4
    assert "--engine_dir is loaded; --model_path is asked for a tokenizer alone" in err


def test_without_streaming_an_answer_comes_whole(release: str, tmp_path: Path, dataset: Path) -> None:
    code, report = run(tmp_path, dataset, "--warmup", "0")
    assert code == 0
    native = report["tokenclock"]
    assert native["tokens"]["osl"] == sum(6 + i for i in range(8))
    assert native["client"]["max_in_flight"] == 8
    assert "streaming_metrics" not in report
    assert report["request_info"]["avg_num_concurrent_requests"] > 3, "they share the engine's iterations"


def test_wishes_reach_the_executor(release: str, tmp_path: Path, dataset: Path) -> None:
    log, sampling = tmp_path / "iterations.jsonl", tmp_path / "sampling.yml"
    sampling.write_text("temperature: 0.7\ntop_k: 5\n")
    flags = ("--kv_cache_free_gpu_mem_fraction", "0.5", "--scheduler_policy", "max_utilization")
    flags += ("--disable_chunked_context", "--iteration_log", str(log), "--sampler_options", str(sampling))
    code, report = run(tmp_path, dataset, *flags, "--eos_id", "2", "--streaming")
    assert code == 0
    said = made(tmp_path)
    assert "('enable_chunked_context', False)" in said
    assert "'free_gpu_memory_fraction': 0.5" in said
    assert "'enable_block_reuse': False" in said
    assert "CapacitySchedulerPolicy.MAX_UTILIZATION" in said
    assert report["world_info"]["scheduling_policy"] == "max_utilization"
    assert report["tokenclock"]["tokens"]["osl"] == sum((6 + i) // 2 for i in range(8)), "it ends half-way"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["iter"] for line in lines] == list(range(len(lines)))
    assert lines


def test_chunks_follow_the_engine_unless_they_are_asked_for(release: str, tmp_path: Path, dataset: Path) -> None:
    assert run(tmp_path, dataset)[0] == 0
    assert "('enable_chunked_context', True)" in made(tmp_path)
    (tmp_path / "standin.log").unlink()
    without = {"plugin_config": {"remove_input_padding": True}}
    assert run(tmp_path, dataset, build=without)[0] == 0
    assert "('enable_chunked_context', False)" in made(tmp_path)


def test_beams_count_the_first_beam(release: str, tmp_path: Path, dataset: Path) -> None:
    code, report = run(tmp_path, dataset, "--beam_width", "2")
    assert code == 0
    assert report["tokenclock"]["tokens"]["osl"] == sum(6 + i for i in range(8))


def test_an_engine_of_two_ranks_starts_its_own_workers(release: str, tmp_path: Path, dataset: Path) -> None:
    code, report = run(tmp_path, dataset, "--tp=2", tp=2)
    assert code == 0
    assert report["world_info"]["world_size"] == 2
    performance = report["performance"]
    assert performance["output_throughput_per_gpu_tok_s"] == pytest.approx(
        performance["system_output_throughput_tok_s"] / 2
    )


@pytest.mark.parametrize(
    ("flags", "engine", "expected"),
    [
        ((), {"tp": 2}, "--tp must be what the engine was built for, 2, got 1"),
        (("--tp=2",), {}, "--tp must be what the engine was built for, 1, got 2"),
        (("--max_batch_size=32",), {}, "--max_batch_size must be at most 16, what the engine was built for, got 32"),
        (("--beam_width", "8"), {}, "--beam_width must be at most 4"),
        (("--enable_chunked_context",), {"build": {"plugin_config": {}}}, "built with use_paged_context_fmha"),
        (("--max_seq_len", "24"), {}, "prompt and answer must have at most 24 tokens together"),
    ],
)
def test_what_the_engine_was_not_built_for_is_one_line(
    release: str,
    tmp_path: Path,
    dataset: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    engine: dict[str, Any],
    expected: str,
) -> None:
    assert run(tmp_path, dataset, *flags, **engine)[0] == 2
    assert expected in capsys.readouterr().err


def test_sampling_options_that_it_has_not_are_named(
    release: str, tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sampling = tmp_path / "sampling.yml"
    sampling.write_text("warmth: 3\n")
    assert run(tmp_path, dataset, "--sampler_options", str(sampling))[0] == 2
    assert "not warmth; leave it out" in capsys.readouterr().err


@pytest.mark.parametrize("release", ["1.3.0rc26"], indirect=True)
def test_a_release_without_engines_says_so(
    release: str, tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, dataset)[0] == 1
    assert "needs TensorRT-LLM 1.2 or earlier, found 1.3.0rc26" in capsys.readouterr().err


def test_a_refused_request_is_a_failure(
    release: str, tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    highest = max(max(json.loads(line)["input_ids"]) for line in dataset.read_text().splitlines())
    monkeypatch.setenv("STANDIN_VOCAB", str(highest))
    code, report = run(tmp_path, dataset, "--concurrency", "2", "--warmup", "0", "--streaming")
    assert code == 3
    assert report["tokenclock"]["requests"]["failed"] == 1
    assert "not in the vocabulary" in report["tokenclock"]["requests"]["failure_examples"]["stream_error"]


def test_an_executor_that_dies_ends_every_request(
    release: str, tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STANDIN_EXECUTOR_DIES_AFTER_MS", "1")
    monkeypatch.setenv("STANDIN_STEP_MS", "50")
    code, report = run(tmp_path, dataset, "--warmup", "0", "--streaming")
    assert code == 1
    assert report["tokenclock"]["requests"]["ok"] == 0
    assert "the executor ended: the execution loop has ended: CUDA error 700" in capsys.readouterr().err


def test_ctrl_c_ends_what_is_in_flight(release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_STEP_MS", "5")
    folder = write_engine(tmp_path / "engine")
    target = trtllm_engine_in_flight.load(str(folder), RuntimeOptions(), Sampling(), InFlightOptions(), OneProcess())
    begun = time.monotonic()
    rows = [InFlightRequest([5, 6, 7], 400) for _ in range(6)]
    records, outcomes = run_in_flight(
        target, rows, concurrency=3, streaming=True, stop_requested=lambda: time.monotonic() > begun + 0.2
    )
    target.close()
    target.close()
    assert time.monotonic() < begun + 2
    assert [outcome is not None and outcome.cancelled for outcome in outcomes] == [True] * 3 + [False] * 3
    assert 0 < records.n_tokens.sum() < 3 * 400


def test_a_response_that_is_not_understood_ends_the_run_and_does_not_hang_it(
    release: str, tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorrt_llm._played import play_executor

    monkeypatch.setattr(play_executor._Enqueued, "_tell", lambda self, *_: self._executor._answer(object()))
    code, report = run(tmp_path, dataset, "--warmup", "0", "--streaming", "--concurrency", "2")
    assert code == 1
    assert report["tokenclock"]["requests"]["failed"] == 8


def test_rows_of_text_take_the_tokenizer_beside_the_engine(release: str, tmp_path: Path) -> None:
    """--model_path has it, as for the original; an engine's directory has none."""
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    words = {word: number for number, word in enumerate(["[UNK]", "one", "two", "three"])}
    made_of = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made_of.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made_of.save(str(write_checkpoint(tmp_path / "llama") / "tokenizer.json"))
    dataset = tmp_path / "d.jsonl"
    dataset.write_text(json.dumps({"task_id": 0, "prompt": "one two three", "output_tokens": 4}) + "\n")
    code, report = run(tmp_path, dataset, "--warmup", "0")
    assert code == 0
    assert report["request_info"]["avg_input_length"] == 3


def test_adapters_are_refused_with_their_line(release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = tmp_path / "d.jsonl"
    lora = {"lora_name": "lora_1", "lora_int_id": 1, "lora_path": "/loras/1"}
    dataset.write_text(json.dumps({"task_id": 0, "input_ids": [5, 6], "output_tokens": 3, "lora_request": lora}) + "\n")
    assert run(tmp_path, dataset)[0] == 2
    assert f"{dataset}:1: lora_request needs --runtime trtllm-llm" in capsys.readouterr().err
