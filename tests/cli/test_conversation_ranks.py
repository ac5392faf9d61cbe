"""Conversations under a real mpirun: refused in one line by every command that sends them, before any request."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.parallel.launching import launch, pypi_launcher

from tokenclock import PacedServer

ROWS = '{"session_id": "a", "prompt": "hi", "output_length": 2}\n' * 4


@pytest.mark.parametrize(
    "words",
    [
        "profile -m paced --endpoint-type chat --streaming -u {url} --num-sessions 4 --session-concurrency 2 --isl 5 "
        "--osl 4 --artifact-dir {here}/out",
        "serving --model paced --base-url {url} --backend openai-chat --endpoint /v1/chat/completions "
        "--dataset-name trace --dataset-path {here}/talks.jsonl --max-concurrency 2",
    ],
)
def test_two_ranks_are_refused(words: str, tmp_path: Path) -> None:
    (tmp_path / "talks.jsonl").write_text(ROWS, "utf-8")
    with PacedServer(ttft_ms=5, itl_ms=1) as server:
        said = ["-m", "tokenclock", *words.format(url=server.url, here=tmp_path).split()]
        ended = launch(pypi_launcher(), 2, said)
        truth = server.truth()
    assert ended.returncode == 2, ended.stderr
    command = words.split()[0]
    lines = [line for line in ended.stderr.splitlines() if line.startswith(f"tokenclock {command}:")]
    assert lines == [
        f"tokenclock {command}: sessions are measured by one process: start it without mpirun, or one for each client "
        "machine with a part of the conversations"
    ]
    assert "Traceback" not in ended.stderr
    assert truth.n_requests == 0
