"""`tokenclock profile` against a real LLM server: TensorRT-LLM's recipe for genai-perf, with smaller numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tokenclock.serving.real_server import RealServer, missing_wheels

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(missing_wheels()), reason="the real server's wheels are not installed: make real-server"),
]

MODEL = "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"  # llama.cpp answers to any name


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with RealServer() as running:
        yield running


def profile(server: RealServer, folder: Path, *flags: str) -> dict[str, Any]:
    words = [
        sys.executable,
        "-m",
        "tokenclock",
        "profile",
        "-m",
        MODEL,
        "--tokenizer",
        MODEL,
        "--service-kind",
        "openai",
    ]
    words += [
        "--endpoint-type",
        "chat",
        "--random-seed",
        "223",
        "--verbose",
        "--url",
        server.url.removeprefix("http://"),
    ]
    words += ["--synthetic-input-tokens-mean", "10", "--synthetic-input-tokens-stddev", "0"]
    words += ["--output-tokens-mean", "12", "--output-tokens-stddev", "0", "--artifact-dir", str(folder), *flags]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*/profile_export_genai_perf.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_recipe(server: RealServer, tmp_path: Path) -> None:
    found = profile(
        server, tmp_path, "--num-prompts", "12", "--num-prefix-prompts", "1", "--prefix-prompt-length", "40",
        "--concurrency", "4", "--request-count", "12", "--warmup-request-count", "2",
    )  # fmt: skip
    assert found["request_count"]["avg"] == 12
    assert found["input_sequence_length"]["min"] >= 50
    assert found["output_sequence_length"]["max"] <= 12
    assert "time_to_first_token" not in found


def test_conversations_carry_what_was_said(server: RealServer, tmp_path: Path) -> None:
    found = profile(
        server, tmp_path, "--streaming", "--session-concurrency", "2", "--num-sessions", "2",
        "--session-turns-mean", "2", "--extra-inputs", "ignore_eos:true",
    )  # fmt: skip
    assert found["request_count"]["avg"] == 4
    isl = found["input_sequence_length"]
    assert isl["max"] >= isl["min"] + 10 + 12  # the second turn holds the first one's prompt and its answer
    assert found["output_sequence_length"]["avg"] == 12
