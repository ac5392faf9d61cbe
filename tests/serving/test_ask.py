"""One question to the server: past its answer, its silence, its dripping, its breaking off."""

from __future__ import annotations

import socket
import time

import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply

from tokenclock.plan import EndpointPlan, ServingPlan
from tokenclock.serving.ask import ask


def plan_for(server: ScriptedServer, prefix: str = "") -> ServingPlan:
    return ServingPlan(EndpointPlan("m", base_url=server.url + prefix, headers=(("X-A", "b"),), api_key="k"))


def test_an_answer_with_the_plan_s_headers_below_its_prefix() -> None:
    with ScriptedServer(lambda request, _: json_reply([1])) as server:
        assert ask(plan_for(server, "/gate"), "GET", "/metrics").json() == [1]
        assert ask(plan_for(server), "POST", "/flush_cache").ok
    get, post = server.requests
    assert (get.method, get.path, get.body) == ("GET", "/gate/metrics", b"")
    assert (get.headers["x-a"], get.headers["authorization"]) == ("b", "Bearer k")
    assert (post.method, post.path, post.body) == ("POST", "/flush_cache", b"{}")


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "HTTP 404 Not Found"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno", "broke off"),
        (b"gibberish\r\n\r\n", "gibberish"),
        (b"", "closed"),
    ],
)
def test_what_is_no_answer_is_told(reply: bytes, problem: str) -> None:
    def script(request: Request, connection: socket.socket) -> bytes:
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_RDWR)
        return b""

    with ScriptedServer(script) as server:
        answer = ask(plan_for(server), "GET", "/x")
    assert not answer.ok
    assert problem in str(answer.problem)
    assert answer.json() is None


def test_nobody_there() -> None:
    answer = ask(ServingPlan(EndpointPlan("m", base_url="http://127.0.0.1:9")), "GET", "/x")
    assert "refused" in str(answer.problem)


@pytest.mark.parametrize("drips", [True, False])
def test_a_server_that_drips_or_says_nothing_is_left_in_time(drips: bool) -> None:
    def script(request: Request, connection: socket.socket) -> bytes:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(60):
            time.sleep(0.05)
            connection.sendall(b"x" if drips else b"")
        return b""

    with ScriptedServer(script) as server:
        answer = ask(plan_for(server), "GET", "/x", timeout_s=0.3)
    assert answer.problem == "no answer within 0.3 s"


def test_json_that_is_none() -> None:
    with ScriptedServer(lambda request, _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno") as server:
        answer = ask(plan_for(server), "GET", "/x")
    assert answer.ok
    assert answer.json() is None
