"""The event splitter against a line-by-line reading of the WHATWG rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenclock._core import parsers

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no bug
Events = list[tuple[bytes, bytes]]


def read_by_the_rules(stream: bytes) -> Events:
    """All events of a stream that has ended; a last event without its blank line counts, unlike in a browser."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    events: Events = []
    data: list[bytes] = []
    kind = b""
    for line in [*lines, b""]:
        if line == b"":
            if data:
                events.append((kind, b"\n".join(data)))
            data, kind = [], b""
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value
    return events


fields = [b"data", b"data:", b"data: ", b"event:", b"event: ", b"id: 1", b"retry: 9", b":", b" ", b"x", b"[DONE]"]
line_ends = [b"\n", b"\n", b"\n", b"\r", b"\r", b"\r\n", b"\r\n", b"\n\n"]
odd_bytes = [b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\x00", b"\xc3\xa9"]
pieces = st.sampled_from([*fields, *line_ends, *odd_bytes])
streams = st.lists(pieces, max_size=40).map(b"".join)


@settings(UNHURRIED, max_examples=500)
@given(streams, st.data())
def test_any_stream_cut_anywhere(stream: bytes, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert parsers.split_sse(chunks) == read_by_the_rules(stream)


@settings(UNHURRIED, max_examples=100)
@given(streams)
def test_every_split_in_two_and_byte_by_byte(stream: bytes) -> None:
    expected = read_by_the_rules(stream)
    assert parsers.split_sse([stream[i : i + 1] for i in range(len(stream))]) == expected
    for cut in range(len(stream) + 1):
        assert parsers.split_sse([stream[:cut], stream[cut:]]) == expected


def test_what_servers_send() -> None:
    stream = b': ping\r\n\r\nevent: message\r\ndata: {"a":\r\ndata: 1}\r\nid: 4\r\n\r\ndata:[DONE]\r\n\r\n'
    assert parsers.split_sse([stream]) == [(b"message", b'{"a":\n1}'), (b"", b"[DONE]")]


def test_lines_longer_than_the_search_window() -> None:
    for length in (1018, 1019, 1023, 1024, 1025, 5000):
        for eol in (b"\n", b"\r", b"\r\n"):
            stream = b"data: " + b"x" * length + eol + eol
            assert parsers.split_sse([stream, stream]) == [(b"", b"x" * length)] * 2


def test_event_past_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="16 MiB"):
        parsers.split_sse([b"data: " + b"x" * (1 << 20)] + [b"x" * (1 << 20)] * 16)
