from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from tests.servers.scripted import Request, ScriptedServer, completion_events, json_reply, sse_reply

from tokenclock.errors import MeasurementError
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.serving.endpoint import Endpoint
from tokenclock.serving.preflight import explain_failure, send_test_request, send_warmups, wait_until_up
from tokenclock.serving.server import ask_models


def plan_for(url: str, **load: Any) -> ServingPlan:
    return ServingPlan(EndpointPlan(model="m", base_url=url), LoadPlan(**load))


def try_once(server: ScriptedServer, **load: Any) -> Any:
    plan = plan_for(server.url, **load)
    return send_test_request(plan, ([1, 2], 3), Endpoint.parse(server.url).resolve())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def good(request: Request, _: socket.socket) -> bytes:
    return sse_reply(completion_events(["a"], usage={"prompt_tokens": 2, "completion_tokens": 1}))


def test_a_good_answer_passes() -> None:
    with ScriptedServer(good) as server:
        assert try_once(server).ok[0]
    assert server.requests[0].json["prompt"] == [1, 2]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (json_reply({"error": "no page"}, "404 Not Found"), ["HTTP 404", "no page", "--endpoint"]),
        (json_reply({"error": "no POST"}, "405 Method Not Allowed"), ["check --endpoint, which is /v1/completions"]),
        (json_reply({"error": "messages is missing"}, "400 Bad Request"), ["HTTP 400", "--backend openai-chat"]),
        (json_reply({"error": "who are you"}, "401 Unauthorized"), ["HTTP 401", "OPENAI_API_KEY"]),
        (json_reply({"error": "busy"}, "429 Too Many Requests"), ["HTTP 429", "--max-concurrency"]),
        (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", ["HTTP 301", "--base-url"]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>", ["no event stream but: <html>", "--endpoint"]),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 20\r\n\r\n" + bytes(range(128, 148)), ["no text", "HTTP 400"]),
        (json_reply({"error": "broken"}, "500 Internal Server Error"), ["HTTP 500", "server's log"]),
        (sse_reply(['{"error":{"message":"out of memory"}}']), ["out of memory", "server's log"]),
        (sse_reply(['{"choices":[{"text":"a"}]}']), ["broke off", "finish reason"]),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ["does not answer like an OpenAI-compatible server"]),
    ],
)
def test_each_failure_has_its_one_line(reply: bytes, words: list[str]) -> None:
    with ScriptedServer(lambda request, _: reply) as server, pytest.raises(MeasurementError) as caught:
        try_once(server)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_an_unknown_model_is_met_with_the_names_there_are() -> None:
    def script(request: Request, _: socket.socket) -> bytes:
        if request.path == "/v1/models":
            return json_reply({"data": [{"id": "llama"}, {"id": "gemma"}]})
        return json_reply({"error": {"message": "model m not found"}}, "404 Not Found")

    with ScriptedServer(script) as server, pytest.raises(MeasurementError, match=r"llama, gemma.*--model"):
        try_once(server)


def test_a_wrong_path_is_not_blamed_on_the_model() -> None:
    def script(request: Request, _: socket.socket) -> bytes:
        if request.path == "/v1/models":
            return json_reply({"data": [{"id": "llama"}]})
        return json_reply({"error": {"message": "no such path"}}, "404 Not Found")

    with ScriptedServer(script) as server, pytest.raises(MeasurementError, match=r"no such path.*--endpoint"):
        try_once(server)


def test_embeddings_of_a_server_without_token_ids_are_told_how_to_send_text() -> None:
    def script(request: Request, _: socket.socket) -> bytes:
        return json_reply({"error": "input: a string was expected"}, "422 Unprocessable Entity")

    with ScriptedServer(script) as server:
        plan = ServingPlan(EndpointPlan("m", backend="embeddings", base_url=server.url), LoadPlan(streaming=False))
        with pytest.raises(MeasurementError, match=r"takes no token ids, --tokenizer DIR sends text"):
            send_test_request(plan, ([1], -1), Endpoint.parse(server.url).resolve())


def test_an_echoed_key_stays_secret() -> None:
    def script(request: Request, _: socket.socket) -> bytes:
        return json_reply({"error": f"bad key {request.headers['authorization']}"}, "401 Unauthorized")

    with ScriptedServer(script) as server:
        plan = ServingPlan(EndpointPlan(model="m", base_url=server.url, api_key="sk-SECRET12345"))
        with pytest.raises(MeasurementError) as caught:
            send_test_request(plan, ([1], 1), Endpoint.parse(server.url).resolve())
    assert "SECRET" not in str(caught.value)
    assert "***" in str(caught.value)


def test_nobody_there() -> None:
    plan = plan_for(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(MeasurementError, match=r"no server at .*Connection refused.*--base-url"):
        send_test_request(plan, ([1], 1), Endpoint.parse(plan.endpoint.base_url).resolve())


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("connect: Cannot assign requested address", "no local port is left for http://h:1/v1/completions"),
        ("connect: Too many open files", "say `ulimit -n 65536`, or lower --max-concurrency"),
    ],
)
def test_what_this_machine_ran_out_of_is_no_fault_of_the_server(make_records: Any, said: str, remedy: str) -> None:
    records = make_records([{"status": "connect_error", "error": said}])
    assert remedy in explain_failure(plan_for("http://h:1"), records, 0)


def test_waits_for_a_server_that_comes_up_late() -> None:
    port = free_port()
    server = ScriptedServer(good, port=port)
    plan = plan_for(f"http://127.0.0.1:{port}", ready_check_timeout_s=20.0)
    said: list[str] = []

    def come_up() -> None:
        time.sleep(0.7)
        server.__enter__()

    starter = threading.Thread(target=come_up)
    starter.start()
    try:
        deadline_s = time.monotonic() + plan.load.ready_check_timeout_s
        wait_until_up(plan, deadline_s, said.append)
        assert ask_models(plan).is_up
        records = send_test_request(plan, ([1], 1), [("127.0.0.1", port)], deadline_s)
    finally:
        starter.join()
        server.__exit__()
    assert records.ok[0]
    assert len(said) == 1
    assert "waiting up to 20 s" in said[0]


def test_warmups_all_failing_end_the_run_and_some_do_not() -> None:
    def first_fails(request: Request, connection: socket.socket) -> bytes:
        if request.json["prompt"] == [0]:
            return json_reply({"error": "cold"}, "503 Service Unavailable")
        return good(request, connection)

    with ScriptedServer(first_fails) as server:
        plan = plan_for(server.url, max_concurrency=2)
        addresses = Endpoint.parse(server.url).resolve()
        records = send_warmups(plan, [([0], 1), ([1], 1)], addresses)
        assert sorted(records.ok.tolist()) == [False, True]
        with pytest.raises(MeasurementError, match=r"all 2 warm-up requests failed.*503"):
            send_warmups(plan, [([0], 1), ([0], 1)], addresses)
