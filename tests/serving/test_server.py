"""Asking /v1/models: what is there is read, and nothing that is missing or odd stops a run."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tokenclock.plan import EndpointPlan, ServingPlan
from tokenclock.serving.server import ServerModels, ask_models, models_path


class Scripted(HTTPServer):
    status = 200
    answer: bytes = b"{}"
    seen: dict[str, str]
    path = ""


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.server.seen = dict(self.headers.items())
        self.server.path = self.path
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted(("127.0.0.1", 0), Handler) as scripted:
        thread = threading.Thread(target=scripted.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield scripted
        scripted.shutdown()
        thread.join()


def plan_for(server: Scripted, **endpoint: Any) -> ServingPlan:
    return ServingPlan(EndpointPlan("m", base_url=f"http://127.0.0.1:{server.server_port}/gw", **endpoint))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"data": [{"id": "m", "meta": {"n_vocab": 262144}}]}, ServerModels(("m",), 262144)),
        ({"data": [{"id": "a", "vocab_size": 5}, {"id": "m", "vocab_size": 7}]}, ServerModels(("a", "m"), 7)),
        ({"data": [{"id": "a", "vocab_size": 5}]}, ServerModels(("a",), 5)),
        ({"data": [{"id": "m"}]}, ServerModels(("m",))),
        ({"data": [{"id": "m", "meta": {"n_vocab": "many"}}]}, ServerModels(("m",))),
        ({"data": [{"id": "m", "meta": None}]}, ServerModels(("m",))),
        ({"data": []}, ServerModels(problem="the answer lists no models")),
        ({"data": "x"}, ServerModels(problem="the answer lists no models")),
        ([], ServerModels(problem="the answer lists no models")),
    ],
)
def test_any_shape_of_answer_is_read(server: Scripted, answer: Any, expected: ServerModels) -> None:
    server.answer = json.dumps(answer).encode()
    assert ask_models(plan_for(server)) == expected


def test_headers_and_path_follow_the_plan(server: Scripted) -> None:
    ask_models(plan_for(server, api_key="k", headers=(("X-A", "b"), ("host", "h"))))
    assert server.path == "/gw/v1/models"
    assert server.seen["Authorization"] == "Bearer k"
    assert server.seen["X-A"] == "b"
    assert server.seen["host"] == "h"


def test_an_error_status_is_a_problem_not_an_exception(server: Scripted) -> None:
    server.status = 404
    assert ask_models(plan_for(server)).problem == "HTTP 404 Not Found"


def test_no_json_is_a_problem_not_an_exception(server: Scripted) -> None:
    server.answer = b"<html>"
    assert ask_models(plan_for(server)).problem


def test_a_proxy_of_the_environment_is_not_used(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.answer = b'{"data": [{"id": "m"}]}'
    assert ask_models(plan_for(server)).names == ("m",)


def test_nobody_there_and_a_silent_server_are_problems() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        plan = ServingPlan(EndpointPlan("m", base_url=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert ask_models(plan, timeout_s=0.2).problem == "[Errno 111] Connection refused"
        silent.listen()
        assert ask_models(plan, timeout_s=0.05).problem == "no answer within 0.05 s"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/completions", "/v1/models"),
        ("/v1/chat/completions", "/v1/models"),
        ("/openai/chat/completions?v=1", "/openai/models"),
        ("/generate", "/v1/models"),
    ],
)
def test_the_model_list_lies_beside_the_completions(path: str, expected: str) -> None:
    assert models_path(path) == expected


@pytest.mark.parametrize(
    ("names", "model", "expected"),
    [
        ((), "m", None),
        (("m", "n"), "n", None),
        (("llama",), "/models/llama/", None),
        (("org/llama",), "llama", None),
        (("m",), "n", "the server lists m and not n: what answers may be another model; check --model"),
        (("a", "b", "c", "d"), "e", "the server lists a, b, c, ... and not e: "),
    ],
)
def test_a_model_that_the_server_does_not_list_is_said(
    names: tuple[str, ...], model: str, expected: str | None
) -> None:
    note = ServerModels(names).note_on(model)
    assert note == expected or (expected is not None and note is not None and note.startswith(expected))
