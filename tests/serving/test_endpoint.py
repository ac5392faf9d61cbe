"""URLs, heads and bodies are exactly the bytes a server should see."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.plan import EndpointPlan, GenerationPlan, LoadPlan, ServingPlan
from tokenclock.serving.endpoint import Endpoint, body_builder, request_body, request_head

CHAT = EndpointPlan("m", backend="openai-chat", path="/v1/chat/completions")


@pytest.mark.parametrize(
    ("url", "expected", "host_header"),
    [
        ("http://localhost:8000", Endpoint("localhost", 8000), "localhost:8000"),
        ("http://Example.org", Endpoint("example.org", 80), "example.org"),
        ("http://10.0.0.7:80/", Endpoint("10.0.0.7", 80), "10.0.0.7"),
        ("http://[::1]:9000/a/b/", Endpoint("::1", 9000, "/a/b"), "[::1]:9000"),
        ("http://[fe80::1%25eth0]:9000", Endpoint("fe80::1%eth0", 9000), "[fe80::1]:9000"),
        ("https://h", Endpoint("h", 443, scheme="https"), "h"),
        ("https://h:80/a", Endpoint("h", 80, "/a", "https"), "h:80"),
        ("http://bücher.example:81", Endpoint("bücher.example", 81), "xn--bcher-kva.example:81"),
    ],
)
def test_a_base_url_is_taken_apart(url: str, expected: Endpoint, host_header: str) -> None:
    endpoint = Endpoint.parse(url)
    assert endpoint == expected
    assert endpoint.host_header == host_header


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("h:8000", "--base-url must be http(s)://HOST"),
        ("ftp://h", "--base-url must be http(s)://HOST"),
        ("http://", "--base-url must be http(s)://HOST"),
        ("http://[::1", "--base-url must be http(s)://HOST"),
        ("http://h:99999", "port in 1..65535"),
        ("http://h:0", "port in 1..65535"),
        ("http://h:x", "port in 1..65535"),
        ("http://user:pw@h", "use --header 'Authorization: Basic"),
        ("http://h/?a=b", "put a query into --endpoint"),
        ("http://h h", "--base-url must be http(s)://HOST"),
    ],
)
def test_a_wrong_base_url_is_refused_in_one_line(url: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint.parse(url)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_resolve_gives_every_address_once() -> None:
    assert Endpoint("127.0.0.1", 7).resolve() == [("127.0.0.1", 7)]
    found = Endpoint("localhost", 7).resolve()
    assert len(set(found)) == len(found)
    assert {address for address, _ in found} <= {"127.0.0.1", "::1"}


def test_an_unknown_host_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(MeasurementError, match=r"host nowhere cannot be resolved \(Name or service not known\); check"):
        Endpoint("nowhere", 80).resolve()


def test_the_head_is_complete_but_for_the_length_and_the_blank_line() -> None:
    plan = ServingPlan(EndpointPlan("m", base_url="http://[::1]:8000/gateway/", api_key="k"))
    assert request_head(plan) == (
        b"POST /gateway/v1/completions HTTP/1.1\r\n"
        b"Host: [::1]:8000\r\n"
        b"User-Agent: tokenclock\r\n"
        b"Accept: text/event-stream, application/json\r\n"
        b"Content-Type: application/json\r\n"
        b"Authorization: Bearer k\r\n"
    )


def test_no_key_no_authorization_and_new_connections_say_close() -> None:
    assert b"Authorization" not in request_head(ServingPlan(EndpointPlan("m")))
    assert b"\r\nConnection: close\r\n" in request_head(ServingPlan(EndpointPlan("m", connection="new")))


def test_own_headers_replace_ours_whatever_their_case() -> None:
    plan = ServingPlan(EndpointPlan("m", headers=(("authorization", "Basic x"), ("X-A", "é")), api_key="k"))
    head = request_head(plan, "other:1")
    assert b"\r\nauthorization: Basic x\r\n" in head
    assert b"Bearer" not in head
    assert b"\r\nX-A: \xe9\r\n" in head
    assert b"\r\nHost: other:1\r\n" in head


def test_completions_body() -> None:
    body = json.loads(request_body(ServingPlan(EndpointPlan("m")), [5, 6, 7], 9))
    assert body == {
        "model": "m", "prompt": [5, 6, 7], "repetition_penalty": 1.0, "max_tokens": 9,
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_chat_bodies_of_text_and_of_ids() -> None:
    plan = ServingPlan(CHAT)
    common = {"model": "m", "max_completion_tokens": 9, "stream": True,
              "stream_options": {"include_usage": True}}  # fmt: skip
    assert json.loads(request_body(plan, "hi", 9)) == common | {"messages": [{"role": "user", "content": "hi"}]}
    assert json.loads(request_body(plan, [1, 2], 9)) == common | {"messages": [], "prompt_token_ids": [1, 2]}


def test_non_streaming_asks_for_one_piece() -> None:
    body = json.loads(request_body(ServingPlan(EndpointPlan("m"), LoadPlan(streaming=False)), "x", 1))
    assert body["stream"] is False
    assert "stream_options" not in body


def test_every_generation_option_has_its_place() -> None:
    generation = GenerationPlan(
        ignore_eos=True, logprobs=2, temperature=0.0, top_p=0.9, top_k=40, min_p=0.1, frequency_penalty=0.5,
        presence_penalty=0.0, repetition_penalty=1.1, chat_template_kwargs={"thinking": False},
    )  # fmt: skip
    body = json.loads(request_body(ServingPlan(EndpointPlan("m"), generation=generation), "x", 1))
    expected = {"ignore_eos": True, "logprobs": 2, "temperature": 0.0, "top_p": 0.9, "top_k": 40, "min_p": 0.1,
                "frequency_penalty": 0.5, "presence_penalty": 0.0, "repetition_penalty": 1.1}  # fmt: skip
    assert body.items() >= expected.items()
    chat = json.loads(request_body(ServingPlan(CHAT, generation=generation), "x", 1))
    assert (chat["logprobs"], chat["top_logprobs"]) == (True, 2)
    assert (chat["chat_template_kwargs"], chat["repetition_penalty"]) == ({"thinking": False}, 1.1)


def test_the_extra_body_is_merged_last_and_null_takes_a_field_out() -> None:
    extra = {"repetition_penalty": None, "temperature": 0.5, "max_tokens": 3, "x": {"y": [None]}}
    body = json.loads(request_body(ServingPlan(EndpointPlan("m"), generation=GenerationPlan(extra_body=extra)), "p", 9))
    assert "repetition_penalty" not in body
    assert (body["temperature"], body["max_tokens"], body["x"]) == (0.5, 3, {"y": [None]})
    assert body["prompt"] == "p"


def test_the_served_name_goes_into_the_body() -> None:
    plan = ServingPlan(EndpointPlan("/models/m", served_model_name='a"b\\é'))
    assert json.loads(request_body(plan, "x", 1))["model"] == 'a"b\\é'


@given(text=st.text(), ids=st.lists(st.integers(0, 2**31 - 1)), osl=st.integers(1, 10**9), model=st.text(min_size=1))
def test_the_prebuilt_body_says_what_the_dict_says(text: str, ids: list[int], osl: int, model: str) -> None:
    for endpoint in (EndpointPlan(model), EndpointPlan(model, backend="openai-chat")):
        build = body_builder(ServingPlan(endpoint))
        with_text, with_ids = json.loads(build(text, osl)), json.loads(build(ids, osl))
        assert with_text["model"] == with_ids["model"] == model
        if endpoint.is_chat:
            assert with_text["messages"][0]["content"] == text
            assert with_ids["prompt_token_ids"] == ids
            assert with_text["max_completion_tokens"] == osl
        else:
            assert (with_text["prompt"], with_ids["prompt"]) == (text, ids)
            assert with_ids["max_tokens"] == osl
