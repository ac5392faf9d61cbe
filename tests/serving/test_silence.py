"""A server that goes silent is said after a minute, whatever time-outs are set, and ends the run after some more."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.servers.scripted import Request, ScriptedServer, completion_events, json_reply, sse_reply

from tokenclock.errors import MeasurementError
from tokenclock.from_events import rebuild
from tokenclock.plan import EndpointPlan, LoadPlan, OutputPlan, RandomDataset, ServingPlan
from tokenclock.run import run_serving
from tokenclock.serving import silence
from tokenclock.serving.silence import SilenceWatch


def counters(n_in_flight: int, received: int = 0, done: int = 0) -> dict[str, int]:
    return {"n_in_flight": n_in_flight, "bytes_received": received, "n_done": done}


def test_each_silence_is_said_once() -> None:
    said: list[str] = []
    now = 0.0
    watch = SilenceWatch(LoadPlan(request_timeout_s=800), said.append, clock=lambda: now)
    for now, progress, n_said in (
        (0, counters(2), 0),
        (59, counters(2), 0),
        (61, counters(2), 1),
        (200, counters(2), 1),  # not again
        (201, counters(2, received=5), 1),  # something came
        (260, counters(2, received=5), 1),
        (262, counters(2, received=5), 2),
        (300, counters(0, received=5), 2),  # nothing is awaited
        (500, counters(0, received=5), 2),
        (559, counters(1, received=5), 2),
        (561, counters(1, received=5), 3),
    ):
        watch.on_progress(progress)
        assert len(said) == n_said, now
    assert said[0] == (
        "tokenclock serving: nothing came from the server for 60 s, 2 requests wait: they end after 800 s by "
        "--request-timeout, Ctrl-C keeps what was measured"
    )
    endless = SilenceWatch(LoadPlan(request_timeout_s=0, silence_timeout_s=0), said.append, clock=lambda: now)
    endless.on_progress(counters(1))
    now = 700
    endless.on_progress(counters(1))
    assert "nothing ends them; --silence-timeout S would" in said[-1]
    assert not endless.ended


def test_a_lasting_silence_ends_the_load() -> None:
    said: list[str] = []
    now = 0.0
    watch = SilenceWatch(LoadPlan(), said.append, clock=lambda: now)
    for now, progress, ended in (
        (0, counters(3), False),
        (899, counters(3), False),
        (900, counters(3, done=1), False),  # one request ended: the others only wait in the queue
        (1799, counters(3, done=1), False),
        (1801, counters(3, done=1), True),
        (1802, counters(3, done=2), True),  # it stays ended
    ):
        watch.on_progress(progress)
        assert watch.stop_requested() == ended, now
    assert [line for line in said if "the run ends here" in line] == [
        "tokenclock serving: nothing came from the server for 900 s: the run ends here, and its 3 requests under way "
        "count as stalled; look at the server's log, or raise --silence-timeout"
    ]


def test_requests_that_a_silence_ended_are_stalled_and_nobody_interrupted_them(tmp_path: Path) -> None:
    def two_answers(request: Request, connection: socket.socket) -> bytes:
        if request.method == "GET":
            return json_reply({"data": []})
        answered.append(1)
        if len(answered) > 3:  # the test request and two more
            connection.recv(1)
        return sse_reply(completion_events(["a", "b"], usage={"prompt_tokens": 4, "completion_tokens": 2}))

    answered: list[int] = []
    said: list[str] = []
    with ScriptedServer(two_answers) as server:
        plan = ServingPlan(
            EndpointPlan("m", base_url=server.url),
            LoadPlan(num_prompts=6, max_concurrency=2, silence_timeout_s=0.5),
            dataset=RandomDataset(input_len=4, output_len=2),
            output=OutputPlan(save_events=str(tmp_path / "log")),
        )
        result = run_serving(plan, say=said.append)
    assert result.requests["by_status"] == {"ok": 2, "stalled": 2, "not_sent": 2}
    assert not result.incomplete
    assert any("--silence-timeout" in example for example in map(str, result.requests.values()))
    assert [line for line in said if "the run ends here, and its 2 requests" in line]
    again, _, _ = rebuild(tmp_path / "log")
    assert again.requests["by_status"] == result.requests["by_status"]


def test_a_server_that_never_answers_the_test_request_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "PATIENCE_S", 0.2)

    def never(request: Request, connection: socket.socket) -> bytes:
        if request.method == "GET":
            return json_reply({"data": []})
        connection.recv(1)  # until the client gives up
        return b""

    said: list[str] = []
    with ScriptedServer(never) as server:
        plan = ServingPlan(
            EndpointPlan("m", base_url=server.url),
            LoadPlan(num_prompts=2, no_progress_timeout_s=1),
            dataset=RandomDataset(input_len=4, output_len=2),
        )
        with pytest.raises(MeasurementError, match="look at the server's log, or raise --no-progress-timeout"):
            run_serving(plan, say=said.append)
    assert [line for line in said if "nothing came from the server" in line and "they end after 1 s" in line]
