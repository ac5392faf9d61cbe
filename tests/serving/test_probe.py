"""Probes go out at their rate, on connections of their own, one token each, and only until the load ends."""

from __future__ import annotations

import socket
import threading
import time

import numpy as np
import pytest
from tests.servers.scripted import Request, ScriptedServer, completion_events, sse_reply

from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.records import STATUS_NAMES
from tokenclock.serving.endpoint import Endpoint
from tokenclock.serving.probe import Probes

OK, CANCELLED = STATUS_NAMES.index("ok"), STATUS_NAMES.index("cancelled")


def probes_of(server: ScriptedServer, rate: float, most: int = 1000) -> Probes:
    plan = ServingPlan(EndpointPlan("m", base_url=server.url), LoadPlan(probe_request_rate=rate))
    return Probes(plan, Endpoint.parse(server.url).resolve(), most)


def one_token(request: Request, _: socket.socket) -> bytes:
    return sse_reply(completion_events(["a"], usage={"prompt_tokens": 1, "completion_tokens": 1}))


def test_probes_at_their_rate_of_one_token_each() -> None:
    with ScriptedServer(one_token) as server:
        probes = probes_of(server, 200.0)
        probes.start()
        for _ in range(10):
            time.sleep(0.05)
            probes.feed()
        columns = probes.stop()
    n = len(columns["status"])
    assert 50 < n < 200  # 100 expected
    assert (columns["status"] == OK).all()
    assert (columns["t_last_token_ns"] > columns["t_sent_ns"]).all()
    assert {request.json["max_tokens"] for request in server.requests} == {1}
    assert {request.json["prompt"] for request in server.requests} == {"hi"}
    assert not probes.exhausted


def test_a_slow_answer_is_waited_for_and_a_missing_one_is_not_for_ever() -> None:
    release = threading.Event()

    def script(request: Request, connection: socket.socket) -> bytes:
        release.wait(10)
        return one_token(request, connection)

    with ScriptedServer(script) as server:
        slow, stuck = probes_of(server, 100.0, most=3), probes_of(server, 100.0, most=3)
        slow.start()
        stuck.start()
        time.sleep(0.3)
        unanswered = stuck.stop(grace_s=0.05)
        threading.Timer(0.1, release.set).start()
        answered = slow.stop()
    assert answered["status"].tolist() == [OK] * 3
    assert unanswered["status"].tolist() == [CANCELLED] * 3
    assert slow.exhausted


def test_a_stop_at_once_when_interrupted() -> None:
    release = threading.Event()

    def script(request: Request, connection: socket.socket) -> bytes:
        release.wait(3)  # an answer that a patient stop would have got
        return one_token(request, connection)

    with ScriptedServer(script) as server:
        probes = probes_of(server, 50.0, most=2)
        probes.start()
        time.sleep(0.2)
        columns = probes.stop(interrupted=True)
        release.set()
    assert columns["status"].tolist() == [CANCELLED] * 2


def test_what_never_started_can_be_abandoned() -> None:
    with ScriptedServer(one_token) as server:
        probes_of(server, 1.0).abandon()
    assert server.requests == []


@pytest.mark.parametrize("rate", [0.5, 20.0])
def test_gaps_have_the_mean_of_the_rate(rate: float) -> None:
    with ScriptedServer(one_token) as server:
        due_ns = probes_of(server, rate, most=20_000)._due_ns
    assert np.diff(due_ns).mean() == pytest.approx(1e9 / rate, rel=0.03)
