"""A server that goes silent is said after a minute, whatever time-outs are set."""

from __future__ import annotations

import socket

import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply

from tokenclock.errors import MeasurementError
from tokenclock.plan import EndpointPlan, LoadPlan, RandomDataset, ServingPlan
from tokenclock.run import run_serving
from tokenclock.serving import silence
from tokenclock.serving.silence import SilenceWatch


def counters(n_in_flight: int, received: int = 0, done: int = 0) -> dict[str, int]:
    return {"n_in_flight": n_in_flight, "bytes_received": received, "n_done": done}


def test_each_silence_is_said_once() -> None:
    said: list[str] = []
    now = 0.0
    watch = SilenceWatch(LoadPlan(request_timeout_s=900), said.append, clock=lambda: now)
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
        "tokenclock serving: nothing came from the server for 60 s, 2 requests wait: they end after 900 s; "
        "--no-progress-timeout S ends silent ones sooner, Ctrl-C keeps what was measured"
    )
    endless = SilenceWatch(LoadPlan(request_timeout_s=0), said.append, clock=lambda: now)
    endless.on_progress(counters(1))
    now = 700
    endless.on_progress(counters(1))
    assert "nothing ends them" in said[-1]


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
