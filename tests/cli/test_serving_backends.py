"""Backends that are neither completions nor chat, typed as people type them, against a scripted server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply, sse_reply

LENGTHS = "--dataset-name random --random-input-len 8 --random-output-len 3"


def answer(request: Request, _: Any) -> bytes:
    """Every API the tests below ask for."""
    if request.path == "/v1/models":
        return json_reply({"data": [{"id": "m"}]})
    if request.method != "POST":
        return json_reply({}, "404 Not Found")
    body = request.json
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    if request.path == "/v1/embeddings":
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        return json_reply({"data": [{"object": "embedding", "embedding": [0.5]} for _ in texts], "usage": usage})
    if request.path == "/v1/rerank":
        return json_reply({"results": [{"index": 0, "relevance_score": 1.0}], "usage": usage})
    if request.path == "/v1/responses":
        counted = {"input_tokens": 8, "output_tokens": 3}
        parts = [{"type": "response.output_text.delta", "delta": text} for text in "abc"]
        end = {"type": "response.completed", "response": {"status": "completed", "usage": counted}}
        return sse_reply([json.dumps(value) for value in [*parts, end]])
    assert request.path == "/v2/models/ensemble/generate_stream"
    return sse_reply([json.dumps({"text_output": text}) for text in "abc"])


def serving(server: ScriptedServer, directory: Path, flags: str, code: int = 0) -> tuple[str, dict[str, Any]]:
    command = [sys.executable, "-m", "tokenclock", "serving", "--model", "m", "--base-url", server.url, "--num-prompts",
               "6", "--max-concurrency", "2", "--save-result", "--result-dir", str(directory), "--result-filename",
               "a.json", *LENGTHS.split(), *flags.split()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr, json.loads((directory / "a.json").read_text("utf-8"))


@pytest.mark.parametrize("backend", ["responses", "triton", "tensorrt-llm"])
def test_streaming_backends_measure_every_latency(tmp_path: Path, backend: str) -> None:
    with ScriptedServer(answer) as server:
        said, data = serving(server, tmp_path, f"--backend {backend} --ignore-eos")
    assert (data["completed"], data["total_output_tokens"]) == (6, 18)
    assert data["mean_ttft_ms"] > 0
    assert "not understood" not in said
    if backend != "responses":  # which has no such field: said, not silently dropped
        assert "--ignore-eos is not sent with --backend triton" in said


@pytest.mark.parametrize(("flags", "n_texts"), [("", 1), ("--batch-size 4", 4)])
def test_embeddings(tmp_path: Path, flags: str, n_texts: int) -> None:
    with ScriptedServer(answer) as server:
        said, data = serving(server, tmp_path, f"--backend embeddings {flags}")
        bodies = [request.json["input"] for request in server.requests if request.method == "POST"]
    assert data["completed"] == 6
    assert len(bodies) == 7  # the test request too
    if n_texts > 1:
        assert {len(texts) for texts in bodies} == {n_texts}
        texts = [tuple(text) for batch in bodies for text in batch]
        assert {len(text) for text in texts} == {8}  # token ids, as exact as those of a single input
        assert len(set(texts)) == len(texts)  # the test request reuses none
    assert data["mean_e2el_ms"] > 0
    assert data.get("mean_ttft_ms") is None
    assert "Time to First Token" not in said
    assert "OSL" not in said


def test_rankings(tmp_path: Path) -> None:
    with ScriptedServer(answer) as server:
        _, data = serving(server, tmp_path, "--backend rerank --batch-size 3")
        bodies = [request.json for request in server.requests if request.method == "POST"]
    assert data["completed"] == 6
    assert {len(body["documents"]) for body in bodies} == {3}
    assert {len(body["query"].split()) for body in bodies} == {8}


def test_goodput_of_answers_in_one_piece(tmp_path: Path) -> None:
    with ScriptedServer(answer) as server:
        said, _ = serving(server, tmp_path, "--backend embeddings --goodput e2el:5000")
    assert "goodput" in said.lower()
