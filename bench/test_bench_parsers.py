"""What one received event costs: HTTP framing, splitting, and reading what it means. Prints ns per event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenclock._core import parsers

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHAT = (
    b'{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{"index":0,"delta":{"content":" token"},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}'
)
COMPLETION = (
    b'{"id":"cmpl-17","object":"text_completion","created":1700000000,"model":"m",'
    b'"choices":[{"index":0,"text":" token","logprobs":null,"finish_reason":null}]}'
)
N_EVENTS = 1600


def reply_of(event: bytes) -> bytes:
    """A chunked answer that carries the event N_EVENTS times, one chunk each, as streaming servers write it."""
    framed = b"data: " + event + b"\n\n"
    return HEAD + (f"{len(framed):x}\r\n".encode() + framed + b"\r\n") * N_EVENTS + b"0\r\n\r\n"


@pytest.mark.parametrize("meaning", [False, True], ids=["split", "split_and_read"])
@pytest.mark.parametrize("events_per_read", [0.5, 1, 16], ids=["half", "one", "sixteen"])
@pytest.mark.parametrize("event", [CHAT, COMPLETION], ids=["chat", "completion"])
def test_receive(benchmark: BenchmarkFixture, event: bytes, events_per_read: float, meaning: bool) -> None:
    reply = reply_of(event)
    read_bytes = round((len(reply) - len(HEAD)) / N_EVENTS * events_per_read)
    costs_ns = []
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: costs_ns.append(parsers.bench_receive(reply, 20, read_bytes, meaning)), rounds=5, warmup_rounds=1
    )
    benchmark.extra_info["ns_per_event"] = min(costs_ns)
    print(f"\n{len(event)}-byte event, {events_per_read} a read, meaning {meaning}: {min(costs_ns):.0f} ns per event")
