"""A server that falls silent for good ends a run of every command, after a time that each of them states."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.servers.scripted import Request, ScriptedServer, completion_events, json_reply, sse_reply

import tokenclock.__main__ as program
from tokenclock.plan import LoadPlan
from tokenclock.plan_throughput import BenchServer

COMMANDS = {
    "serving": "serving --model m --base-url {url} --num-prompts 5 --max-concurrency 1 --dataset-name random "
    "--random-input-len 4 --random-output-len 2",
    "profile": "profile -m m --endpoint-type completions --streaming -u {url} --request-count 5 --isl 4 --osl 2",
    "throughput": "--model m throughput --dataset rows.jsonl --streaming --concurrency 1 --warmup 0 --base-url {url}",
    "latency": "--model m latency --dataset rows.jsonl --warmup 0 --base-url {url}",
}


def falls_silent(after: int) -> Callable[[Request, socket.socket], bytes]:
    """A server that answers so many requests."""
    answered: list[int] = []

    def answer(request: Request, connection: socket.socket) -> bytes:
        if request.method == "GET":
            return json_reply({"data": []})
        answered.append(1)
        if len(answered) > after:
            connection.recv(1)  # until the client gives up
        return sse_reply(completion_events(["a", "b"], usage={"prompt_tokens": 4, "completion_tokens": 2}))

    return answer


def run(command: str, after: int, directory: Path) -> subprocess.CompletedProcess[str]:
    rows = [{"task_id": n, "input_ids": [n + 5, 6, 7, 8], "output_tokens": 2} for n in range(5)]
    (directory / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with ScriptedServer(falls_silent(after)) as server:
        words = f"{COMMANDS[command].format(url=server.url)} --silence-timeout 0.4".split()
        return subprocess.run(
            [sys.executable, "-m", "tokenclock", *words], cwd=directory, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_ends_with_what_was_measured(command: str, tmp_path: Path) -> None:
    done = run(command, 3, tmp_path)  # the test request and two more
    assert done.returncode == 3, done.stderr
    assert "nothing came from the server for 0.4 s: the run ends here, and its 1 requests under way" in done.stderr
    assert "3 of 5 requests failed" in done.stderr  # one stalled, two were never sent
    assert "interrupted" not in done.stdout + done.stderr


def test_a_test_request_that_meets_silence_ends_the_command(tmp_path: Path) -> None:
    done = run("serving", 0, tmp_path)
    assert done.returncode == 1
    assert "did not answer in time" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("look at the server's log, or raise --silence-timeout")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_default_is_a_quarter_of_an_hour_and_said(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert LoadPlan().silence_timeout_s == BenchServer("http://h:1").silence_timeout_s == 900
    assert program.main([command, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--silence-timeout S end the run when nothing at all comes" in said
    assert "0: never (default: 900)" in said
