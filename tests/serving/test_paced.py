"""The paced server as Python users have it: endpoints, modes and faults over real HTTP, and the truth of it all."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokenclock import PacedServer, now_ns
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.records import MISSING_NS
from tokenclock.serving.paced_truth import FAULT_CLOSED_AFTER, FAULT_COMMENTS, FAULT_NAMES, Truth

QUICK: dict[str, Any] = {"ttft_ms": 10, "itl_ms": 5}
IDS = {"model": "m", "prompt": [5, 6, 7]}


def connect(server: PacedServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)


def ask(
    server: PacedServer,
    body: dict[str, Any] | None = None,
    path: str = "/v1/completions",
    headers: dict[str, str] | None = None,
    connection: http.client.HTTPConnection | None = None,
) -> tuple[int, bytes]:
    """One request (GET without a body); its status and whatever came of its reply's body."""
    own = connection or connect(server)
    try:
        own.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers or {})
        reply = own.getresponse()
        try:
            return reply.status, reply.read()
        except http.client.IncompleteRead as cut:
            return reply.status, cut.partial
    finally:
        if connection is None:
            own.close()


def stream(server: PacedServer, n_tokens: int = 4, path: str = "/v1/completions", **fields: Any) -> list[str]:
    """The `data:` lines of a streamed answer, without the prefix."""
    what = IDS if path == "/v1/completions" else {"messages": [{"role": "user", "content": "how are you"}]}
    status, text = ask(server, {**what, "max_tokens": n_tokens, "stream": True, **fields}, path)
    assert status == 200
    return [line.removeprefix("data: ") for line in text.decode().splitlines() if line.startswith("data: ")]


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(**QUICK) as running:
        yield running


def test_a_completion_streams_its_tokens_and_then_its_end(server: PacedServer) -> None:
    *content, done = stream(server, 3)
    events = [json.loads(line) for line in content]
    assert [event["choices"][0]["text"] for event in events] == [" w0000", " w0001", " w0002"]
    assert [event["choices"][0]["finish_reason"] for event in events] == [None, None, "length"]
    assert {event["model"] for event in events} == {"m"}
    assert done == "[DONE]"
    assert 180 <= len(content[0]) <= 260  # as large as a real server's


def test_usage_comes_when_asked_for_in_an_event_without_choices(server: PacedServer) -> None:
    usage = json.loads(stream(server, 3, stream_options={"include_usage": True})[-2])
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_usage_and_token_ids_of_every_event_when_asked_for(server: PacedServer) -> None:
    lines = stream(server, 3, stream_options={"continuous_usage_stats": True}, return_token_ids=True)[:3]
    events = [json.loads(line) for line in lines]
    assert [event["usage"]["completion_tokens"] for event in events] == [1, 2, 3]
    assert [len(event["choices"][0]["token_ids"]) for event in events] == [1, 1, 1]


def test_a_chat_opens_with_the_role_and_ends_with_an_empty_delta(server: PacedServer) -> None:
    lines = stream(server, 2, "/v1/chat/completions", stream_options={"include_usage": True})
    role, first, second, finish, usage = (json.loads(line) for line in lines[:-1])
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [event["choices"][0]["delta"]["content"] for event in (first, second)] == [" w0000", " w0001"]
    assert (finish["choices"][0]["delta"], finish["choices"][0]["finish_reason"]) == ({}, "length")
    assert usage["usage"]["prompt_tokens"] == 3  # the words of the message
    assert lines[-1] == "[DONE]"


def test_replies_in_one_piece(server: PacedServer) -> None:
    status, text = ask(server, {"prompt": "three words here", "max_tokens": 3})
    reply = json.loads(text)
    assert (status, reply["choices"][0]["text"]) == (200, " w0000 w0001 w0002")
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    chat = {"messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 2, "max_tokens": 9}
    reply = json.loads(ask(server, chat, "/v1/chat/completions")[1])
    assert reply["choices"][0]["message"] == {"role": "assistant", "content": " w0000 w0001"}
    assert reply["choices"][0]["finish_reason"] == "length"


def test_models_health_and_metrics(server: PacedServer) -> None:
    models = json.loads(ask(server, path="/v1/models")[1])
    assert [(model["id"], model["meta"]["n_vocab"]) for model in models["data"]] == [("paced", 32_000)]
    assert ask(server, path="/health") == (200, b'{"status":"ok"}')
    stream(server, 4)
    metrics = dict(
        line.rsplit(" ", 1)
        for line in ask(server, path="/metrics")[1].decode().splitlines()
        if not line.startswith("#")
    )
    assert int(metrics["tokenclock_paced_requests_total"]) >= 1
    assert int(metrics["tokenclock_paced_generated_tokens_total"]) >= 4
    assert int(metrics["tokenclock_paced_requests_in_flight"]) == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/nope", IDS, 404, "no such path"),
        ("/v1/completions", None, 405, "POST"),
        ("/health", IDS, 405, "GET"),
        ("/v1/completions", {"max_tokens": 3}, 400, "prompt is missing"),
        ("/v1/completions", {**IDS, "max_tokens": 0}, 400, "got 0"),
    ],
)
def test_what_cannot_be_answered_is_an_error_in_openai_words(
    server: PacedServer, path: str, body: dict[str, Any] | None, status: int, message: str
) -> None:
    got, text = ask(server, body, path)
    error = json.loads(text)["error"]
    assert got == status == error["code"]
    assert message in error["message"]
    assert error["type"]


def test_a_named_model_and_a_key_are_insisted_on() -> None:
    with PacedServer(**QUICK, served_model="größe/7b", api_key="secret-key") as server:
        key = {"Authorization": "Bearer secret-key"}
        good = {"prompt": [1], "model": "größe/7b", "max_tokens": 1}
        assert ask(server, good, headers=key)[0] == 200
        status, text = ask(server, {**good, "model": "other"}, headers=key)
        assert (status, json.loads(text)["error"]["message"]) == (404, "the model `other` does not exist")
        assert ask(server, good)[0] == 401
        assert ask(server, good, headers={"Authorization": "Bearer wrong"})[0] == 401
        assert ask(server, path="/v1/models")[0] == 401
        assert ask(server, path="/health")[0] == 200
        assert json.loads(ask(server, path="/v1/models", headers=key)[1])["data"][0]["id"] == "größe/7b"
        command_line = Path(f"/proc/{server.pid}/cmdline")
        assert not command_line.exists() or b"secret-key" not in command_line.read_bytes()
        truth = server.stop()
    assert truth.status.tolist() == [200, 404, 401, 401]
    assert "secret-key" not in json.dumps(truth.meta)


def test_the_truth_joins_by_id_and_holds_every_send() -> None:
    with PacedServer(**QUICK) as server:
        connection = connect(server)
        t_before_ns = now_ns()
        ids = []
        for n_tokens in (2, 5):
            status, text = ask(server, {**IDS, "max_tokens": n_tokens, "stream": True}, connection=connection)
            assert status == 200
            ids.append(json.loads(text.split(b"\n", 1)[0].removeprefix(b"data: "))["id"])
        connection.close()
        t_after_ns = now_ns()
        live = server.truth()
    truth = server.truth()
    assert ids == ["paced-0", "paced-1"]
    assert live.n_requests == truth.n_requests == 2
    assert truth.max_tokens.tolist() == [2, 5]
    assert truth.prompt_tokens.tolist() == [3, 3]
    assert np.diff(truth.send_offsets).tolist() == [3, 6]  # the head first
    assert truth.n_tokens.tolist() == [0, 1, 1, 0, 1, 1, 1, 1, 1]
    stamps, counts = truth.content_sends(1)
    assert counts.tolist() == [1] * 5
    assert t_before_ns <= truth.t_arrival_ns[0] <= truth.t_read_ns[0]
    assert (truth.t_arrival_ns <= truth.t_read_ns).all()
    assert stamps[-1] <= t_after_ns
    assert (np.diff(truth.t_send_ns) > 0).all()
    assert truth.t_first_content_ns[1] == stamps[0]
    on_wire = truth.t_first_on_wire_ns
    stamped = on_wire != MISSING_NS
    assert stamped.all() == truth.arrival_kernel.all()  # where the kernel stamps, it stamps both ways
    assert (on_wire[stamped] >= truth.t_first_content_ns[stamped]).all()
    first = np.where(stamped, on_wire, truth.t_first_content_ns)
    assert (truth.ttft_ns == first - truth.t_arrival_ns).all()
    assert (truth.ttft_ns >= 10_000_000).all()
    assert (truth.t_done_ns > truth.t_first_content_ns).all()
    assert truth.meta["options"]["itl_ms"] == 5
    assert truth.meta["n_sends_lost"] == 0


def test_in_batch_mode_all_streams_step_together() -> None:
    with PacedServer(ttft_ms=20, itl_ms=10) as server:
        threads = [threading.Thread(target=stream, args=(server, 8)) for _ in range(6)]
        for thread in threads:
            thread.start()
            time.sleep(0.007)
        for thread in threads:
            thread.join()
    truth = server.truth()
    due = truth.t_due_ns[truth.n_tokens > 0]
    assert len(due) == 48
    assert len(set(due % 10_000_000)) == 1  # one grid for all
    first_due = truth.t_due_ns[truth.send_offsets[:-1] + 1]
    wait = first_due - truth.t_arrival_ns
    assert ((wait >= 20_000_000) & (wait < 30_000_000)).all()
    for row in range(6):
        part = slice(int(truth.send_offsets[row]) + 1, int(truth.send_offsets[row + 1]))
        assert (np.diff(truth.t_due_ns[part]) == 10_000_000).all()


def test_in_independent_mode_each_stream_has_its_own_times() -> None:
    options: dict[str, Any] = {"ttft_ms": 20, "ttft_std_ms": 5, "itl_ms": 4, "itl_std_ms": 2, "seed": 3}
    options |= {"ttft_distribution": "normal", "itl_distribution": "lognormal"}
    gaps = []
    for _ in range(2):
        with PacedServer(mode="independent", **options) as server:
            for _ in range(2):
                stream(server, 20)
        truth = server.truth()
        due = truth.t_due_ns.reshape(2, 21)[:, 1:]
        gaps.append(np.diff(due, axis=1))
        assert (due[:, 0] - truth.t_arrival_ns >= 0).all()
    assert (gaps[0] == gaps[1]).all()  # the seed decides
    assert len(set(gaps[0].ravel().tolist())) == 38
    assert 2e6 < gaps[0].mean() < 6e6


def test_flood_sends_everything_at_once() -> None:
    with PacedServer(mode="flood", ttft_ms=1000, itl_ms=1000) as server:
        assert len(stream(server, 2000)) == 2001


def test_tokens_per_event_and_events_per_send() -> None:
    with PacedServer(**QUICK, tokens_per_event=3, events_per_send=2, report_iterations=True) as server:
        *content, done = stream(server, 10)
    assert done == "[DONE]"
    choices = [json.loads(line)["choices"][0] for line in content]
    assert [len(choice["text"].split()) for choice in choices] == [3, 3, 3, 1]
    assert choices[-1]["avg_decoded_tokens_per_iter"] == 5.0
    assert "avg_decoded_tokens_per_iter" not in choices[0]
    truth = server.truth()
    assert truth.n_tokens.tolist() == [0, 6, 4]
    assert truth.n_events.tolist() == [0, 2, 2]


def test_answers_may_end_early_and_prompts_be_cached() -> None:
    with PacedServer(**QUICK, output_share=0.5, cached_share=0.25) as server:
        reply = json.loads(ask(server, {"prompt": [1] * 8, "max_tokens": 10})[1])
        assert reply["choices"][0]["finish_reason"] == "stop"
        assert reply["usage"]["completion_tokens"] == 5
        assert reply["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}
        one = json.loads(ask(server, {"prompt": [1], "max_tokens": 1})[1])
        assert one["usage"]["completion_tokens"] == 1
        assert one["choices"][0]["finish_reason"] == "length"
    assert server.truth().max_tokens.tolist() == [5, 1]
    with PacedServer(**QUICK) as server:
        plain = json.loads(ask(server, {"prompt": [1] * 8, "max_tokens": 3})[1])
        assert "prompt_tokens_details" not in plain["usage"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"output_share": 0.0}, "output_share must be above 0 and at most 1, got 0"),
        ({"output_share": 1.5}, "output_share must be above 0 and at most 1"),
        ({"cached_share": -0.1}, "cached_share must be 0 to 1"),
        ({"cached_share": float("nan")}, "cached_share must be a number, got nan"),
    ],
)
def test_shares_that_are_none(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        PacedServer(**wrong)


def test_default_output_tokens_and_vocabulary() -> None:
    with PacedServer(**QUICK, default_output_tokens=7, vocab_size=99) as server:
        assert json.loads(ask(server, {"prompt": "x"})[1])["usage"]["completion_tokens"] == 7
        assert json.loads(ask(server, path="/v1/models")[1])["data"][0]["meta"]["n_vocab"] == 99


def faulty(fault: str, n_tokens: int = 6, **fields: Any) -> tuple[int, str, Truth]:
    with PacedServer(**QUICK, faults=[fault]) as server:
        status, text = ask(server, {**IDS, "max_tokens": n_tokens, "stream": True, **fields})
    return status, text.decode(), server.truth()


def test_fault_status() -> None:
    status, text, truth = faulty("status=503")
    assert (status, json.loads(text)["error"]["code"]) == (503, 503)
    assert (truth.status.tolist(), FAULT_NAMES[truth.fault[0]]) == ([503], "status")
    assert truth.ttft_ns[0] == MISSING_NS


def test_fault_cut_ends_the_connection_after_half_of_the_tokens() -> None:
    status, text, truth = faulty("cut")
    assert (status, text.count('"text":"'), "[DONE]" in text) == (200, 3, False)
    assert truth.t_done_ns[0] == MISSING_NS
    assert FAULT_NAMES[truth.fault[0]] == "cut"
    assert faulty("cut", stream=False)[1].count(" w") == 0  # half of the body, and less than was announced


def test_fault_stall_falls_silent_and_keeps_the_connection() -> None:
    with PacedServer(**QUICK, faults=["stall"]) as server:
        connection = connect(server)
        connection.request("POST", "/v1/completions", json.dumps({**IDS, "max_tokens": 6, "stream": True}))
        reply = connection.getresponse()
        assert [reply.readline().startswith(b"data: {") for _ in range(6)] == [True, False] * 3
        assert connection.sock is not None
        connection.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            reply.readline()
        assert b"in_flight 1" in ask(server, path="/metrics")[1]
        connection.close()
        reply.close()
        for _ in range(200):  # the client has gone: so does its request
            if b"in_flight 0" in ask(server, path="/metrics")[1]:
                break
            time.sleep(0.01)
        else:
            pytest.fail("the stalled request stays in flight after its client has gone")
    assert server.truth().n_tokens.sum() == 3


def test_fault_error_event_is_the_last_event() -> None:
    status, text, truth = faulty("error-event")
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert (status, len(lines)) == (200, 4)
    assert json.loads(lines[-1])["error"]["type"] == "server_error"
    assert truth.n_tokens.tolist() == [0, 1, 1, 1, 0]
    status, text, truth = faulty("error-event", stream=False)
    assert (status, json.loads(text)["error"]["code"], truth.status.tolist()) == (500, 500, [500])


def test_fault_garbage_is_one_event_amid_a_whole_answer() -> None:
    _, text, truth = faulty("garbage")
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[3])
    assert len(lines) == 8
    assert truth.n_tokens.sum() == 6
    with pytest.raises(json.JSONDecodeError):
        json.loads(faulty("garbage", stream=False)[1])


def test_fault_comments_are_between_the_events() -> None:
    _, text, truth = faulty("comments")
    assert text.count(": paced comment\n\nevent: message\nid: 1\ndata: ") == 7
    assert truth.fault.tolist() == [FAULT_COMMENTS]


def test_fault_close_idle_ends_a_connection_without_a_word() -> None:
    with (
        PacedServer(**QUICK, faults=["close-idle=2"]) as server,
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=10) as raw,
    ):
        body = json.dumps({**IDS, "max_tokens": 1}).encode()
        request = b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        got = b""
        for n_replies in (1, 2):
            raw.sendall(request)
            while got.count(b"total_tokens") < n_replies or not got.endswith(b"}}"):
                got += raw.recv(65536)
        assert b"Connection: close" not in got
        assert raw.recv(1) == b""
    assert server.truth().fault.tolist() == [0, FAULT_CLOSED_AFTER]


def test_faults_strike_the_same_share_of_requests_each_time() -> None:
    struck = []
    for _ in range(2):
        with PacedServer(mode="flood", seed=5, faults=["status=429:0.3", "error-event:0.2"]) as server:
            connection = connect(server)
            for _ in range(60):
                ask(server, {**IDS, "max_tokens": 2}, connection=connection)
            connection.close()
        struck.append(server.truth().fault.tolist())
    assert struck[0] == struck[1]
    assert 8 <= struck[0].count(1) <= 28
    assert 3 <= struck[0].count(4) <= 22


def test_the_server_runs_on_the_core_that_was_named() -> None:
    core = min(os.sched_getaffinity(0))
    with PacedServer(**QUICK, cpu=core) as server:
        assert os.sched_getaffinity(server.pid) == {core}


def test_ipv6_where_there_is_any() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with PacedServer(**QUICK, host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert len(stream(server, 2)) == 3


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(UsageError, match=r"^itl_ms must be 0\.\.3\.6e\+06, got -5$"):
        PacedServer(itl_ms=-5)
    with PacedServer(**QUICK) as server, pytest.raises(MeasurementError, match="Address already in use"):
        PacedServer(**QUICK, port=int(server.url.rpartition(":")[2]))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"vocab_size": 0}, "vocab_size must be 1..100000000, got 0"),
        ({"faults": ["burst"]}, "faults must be one of status, cut, stall, error-event, garbage, comments, close-idle, "
         "got burst"),
        ({"faults": "cut"}, 'faults must be a list such as ["cut:0.1"], got the text \'cut\''),
        ({"ttft_distribution": "flat"}, "ttft_distribution: invalid choice: 'flat' (choose from "),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_keyword(values: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        PacedServer(**values)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(line)


def test_a_killed_server_is_noticed() -> None:
    server = PacedServer(**QUICK)
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(MeasurementError, match="ended"):
        server.truth()
    with pytest.raises(MeasurementError, match="ended with code -9"):
        server.stop()


def test_kill_leaves_what_was_last_written() -> None:
    server = PacedServer(**QUICK)
    stream(server, 2)
    assert server.truth().n_requests == 1
    server.kill()
    assert server.truth().n_requests == 1


def test_no_orphan_outlives_a_killed_parent() -> None:
    code = "import time, tokenclock; s = tokenclock.PacedServer(); print(s.pid, s.url, flush=True); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    words: list[str] = []
    while len(words) != 2 or not words[0].isdigit():  # a rebuild on import may print lines of its own
        words = parent.stdout.readline().split()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    host, _, port = words[1].removeprefix("http://").partition(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("the server still answers ten seconds after its parent was killed")


def sleep_late_ms() -> float:
    """How late this machine, as busy as it is now, wakes a process from a sleep of 5 ms: the median of 50."""
    late_s = []
    for _ in range(50):
        due_s = time.monotonic() + 0.005
        time.sleep(0.005)
        late_s.append(time.monotonic() - due_s)
    return float(np.median(late_s)) * 1e3


@pytest.mark.timing
def test_sends_are_made_when_they_are_due() -> None:
    """Half a gap at most, in the median send of the median run: a schedule that drifts by 2 % is beyond it."""
    late_ms, machine_ms = [], []
    for _ in range(5):
        machine_ms.append(sleep_late_ms())
        with PacedServer(ttft_ms=20, itl_ms=5) as server:
            stream(server, 100)
        truth = server.truth()
        late_ms.append(float(np.median(truth.t_send_ns[1:] - truth.t_due_ns[1:])) / 1e6)
    assert sorted(late_ms)[2] < max(2.5, 4 * sorted(machine_ms)[2])
