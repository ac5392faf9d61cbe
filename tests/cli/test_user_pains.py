"""What people complain about in other clients, held by `profile` and `throughput` as a user runs them.

The complaints that one room answers for are held by its own tests; docs/workloads.md lists all of them.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply

from tokenclock.__main__ import main
from tokenclock.report import columns_file

MS = 1_000_000
Step = tuple[int, dict[str, Any]]  # wait before it in ms, event


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


ROLE = delta(role="assistant", content="")
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def usage(n_out: int, n_in: int = 9) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": n_in, "completion_tokens": n_out}}


class Chat:
    """Streams the same events, each after its pause, to every request; bodies and headers are kept."""

    def __init__(self, steps: Callable[[int], list[Step]]) -> None:
        self._steps = steps
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    def __call__(self, request: Request, connection: socket.socket) -> bytes:
        if request.method != "POST":
            return json_reply({}, "404 Not Found")
        number = len(self.bodies)
        self.bodies.append(request.json)
        self.headers.append(request.headers)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for pause_ms, event in [*self._steps(number), (0, {})]:
            time.sleep(pause_ms / 1e3)
            data = b"data: %s\n\n" % (json.dumps(event).encode() if event else b"[DONE]")
            connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))
        return b"0\r\n\r\n"


def profiled(chat: Chat, folder: Path, *flags: str, code: int = 0) -> dict[str, Any]:
    """The JSON of one run, one request after the other; `columns` are its raw ones, ns."""
    words = ["profile", "-m", "m", "--endpoint-type", "chat", "--streaming", "--artifact-dir", str(folder)]
    words += ["--request-count", "6", "--num-prompts", "6", "--isl", "4", "--osl", "3", "--disable-tqdm"]
    with ScriptedServer(chat) as server:
        assert main([*words, "-u", server.url, *flags]) == code
        n_connections = server.n_connections
    path = folder / "m-openai-chat-concurrency1" / "profile_export_genai_perf.json"
    found = json.loads(path.read_text())
    return {**found, "columns": columns_file.read(columns_file.columns_path(path)), "n_connections": n_connections}


def test_neither_the_role_nor_the_usage_is_a_token(tmp_path: Path) -> None:
    text = [(40, delta(content="a")), (0, delta(content="b")), (0, END), (40, usage(2))]
    found = profiled(Chat(lambda n: [(0, ROLE), *text]), tmp_path)
    assert found["time_to_first_token"]["min"] >= 40  # the role came at once
    columns = found["columns"].columns
    last_ns = columns["t_last_token_ns"]
    assert (columns["t_done_ns"] - last_ns).min() > 35 * MS  # the usage came 40 ms after the last token
    assert found["request_latency"]["max"] == pytest.approx((last_ns - columns["t_sent_ns"]).max() / MS)
    assert found["output_sequence_length"]["avg"] == 2


def test_reasoning_is_seen(tmp_path: Path) -> None:
    thought = [(0, delta(reasoning_content="hm")), (30, delta(reasoning_content="so"))]
    found = profiled(Chat(lambda n: [(0, ROLE), *thought, (30, delta(content="a")), (0, END), (0, usage(3))]), tmp_path)
    after_ms = found["request_latency"]["avg"] - found["time_to_first_token"]["avg"]
    assert after_ms > 55  # the first thought is the first token: 60 ms lie behind it
    assert found["output_sequence_length"]["avg"] == 3
    assert found["inter_token_latency"]["avg"] == pytest.approx(after_ms / 2, rel=1e-3)


def test_several_tokens_in_a_chunk_are_told_by_the_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = profiled(
        Chat(lambda n: [(0, delta(content="a b c")), (20, delta(content="d e f")), (0, usage(6))]), tmp_path
    )
    assert found["output_sequence_length"]["avg"] == 6
    after_ms = found["request_latency"]["avg"] - found["time_to_first_token"]["avg"]
    assert found["inter_token_latency"]["avg"] == pytest.approx(after_ms / 5, rel=1e-3)  # by tokens, not by the one gap
    assert "more tokens than it sent events" in " ".join(capsys.readouterr().out.split())


def test_an_error_inside_a_200_stream_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = {"error": {"message": "out of blocks", "code": 500}}
    whole = [(0, delta(content="a")), (0, delta(content="b")), (0, END), (0, usage(2))]
    chat = Chat(lambda n: [(0, delta(content="a")), (0, error)] if n == 3 else whole)
    found = profiled(chat, tmp_path, "--goodput", "request_latency:1000", code=3)
    assert found["request_count"]["avg"] == 5
    assert found["tokenclock"]["requests"]["failed"] == 1
    assert found["tokenclock"]["goodput"]["share"] == pytest.approx(5 / 6)  # a failure is a miss
    captured = capsys.readouterr()
    assert "1 of 6 requests failed, more than --max-failure-share 0 allows" in captured.err
    assert "Verdict: INVALID" in captured.out
    assert "out of blocks" in json.dumps(found["tokenclock"]["requests"]["failure_examples"])


def test_when_everything_fails_the_exit_code_is_1_and_nothing_is_zero(tmp_path: Path) -> None:
    whole = [(0, delta(content="a")), (0, END), (0, usage(1))]
    found = profiled(Chat(lambda n: [(0, {"error": {"message": "no"}})] if n else whole), tmp_path, code=1)
    assert found["tokenclock"]["requests"]["ok"] == 0
    assert found["time_to_first_token"]["avg"] is None
    assert found["request_throughput"]["avg"] is None


def test_answers_shorter_than_asked_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiled(Chat(lambda n: [(0, delta(content="a")), (0, END), (0, usage(1, n_in=4))]), tmp_path)
    out = " ".join(capsys.readouterr().out.split())
    assert "output tokens differ from those asked by 66.7%" in out
    assert "Input tokens as asked: 100.00 %" in out


def test_warm_ups_have_prompts_of_their_own_and_headers_and_connections_are_kept(tmp_path: Path) -> None:
    chat = Chat(lambda n: [(0, delta(content="a")), (0, END), (0, usage(1))])
    found = profiled(chat, tmp_path, "--warmup-request-count", "4", "-H", "X-Team: a", "-H", "Authorization: Bearer b")
    prompts = [body["messages"][0]["content"] for body in chat.bodies]
    assert len(prompts) == len(set(prompts)) == 1 + 4 + 6
    assert {(headers["x-team"], headers["authorization"]) for headers in chat.headers} == {("a", "Bearer b")}
    assert found["n_connections"] < len(prompts) / 2
    assert "Bearer b" not in json.dumps(found["tokenclock"])


def prompts_of(folder: Path, *flags: str) -> list[str]:
    chat = Chat(lambda n: [(0, delta(content="a")), (0, END), (0, usage(1))])
    profiled(chat, folder, *flags)
    return [body["messages"][0]["content"] for body in chat.bodies[1:]]


def test_a_second_run_meets_no_warm_cache_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = prompts_of(tmp_path)
    assert prompts_of(tmp_path) == plain
    busted = prompts_of(tmp_path, "--cache-bust")
    assert not set(busted) & set(plain)
    said = capsys.readouterr().err
    nonce = said.partition("--cache-bust ")[2].split()[0]
    assert prompts_of(tmp_path, "--cache-bust", nonce) == busted
    (tmp_path / "in.jsonl").write_text('{"text": "say a"}\n{"text": "say b"}\n')
    recorded = prompts_of(tmp_path, "--cache-bust", "n1", "--input-file", str(tmp_path / "in.jsonl"))
    assert set(recorded) == {"[n1] say a", "[n1] say b"}


def test_rows_of_throughput_meet_no_warm_cache_where_asked(tmp_path: Path) -> None:
    rows = [{"task_id": n, "input_ids": list(range(5, 25 + n)), "output_tokens": 2} for n in range(4)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def sent(*flags: str) -> list[list[int]]:
        bodies = []

        def answer(request: Request, _connection: socket.socket) -> bytes:
            if request.method != "POST":
                return json_reply({}, "404 Not Found")
            bodies.append(request.json)
            counts = {"prompt_tokens": len(request.json["prompt"]), "completion_tokens": 2}
            return json_reply({"choices": [{"text": "a b", "finish_reason": "length"}], "usage": counts})

        with ScriptedServer(answer) as server:
            words = ["--model", "m", "throughput", "--dataset", str(tmp_path / "rows.jsonl"), "--concurrency", "1"]
            assert main([*words, "--base-url", server.url, "--warmup", "0", "--disable-tqdm", *flags]) == 0
        return [body["prompt"] for body in bodies[1:]]

    assert sent() == [row["input_ids"] for row in rows]
    busted = sent("--cache-bust", "n1")
    assert busted == sent("--cache-bust", "n1") != sent("--cache-bust", "n2")
    for prompt, row in zip(busted, rows, strict=True):
        assert len(prompt) == len(row["input_ids"])
        assert prompt[:9] != row["input_ids"][:9]
        assert prompt[9:] == row["input_ids"][9:]
