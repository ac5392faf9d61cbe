"""The HTTP response parser against h11, on generated responses cut anywhere."""

from __future__ import annotations

from pathlib import Path

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenclock._core import parsers

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no bug
TOKEN = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"
FRAMING_NAMES = {"content-length", "transfer-encoding", "connection"}

names = st.text(TOKEN, min_size=1, max_size=12).filter(lambda name: name.lower() not in FRAMING_NAMES)
values = st.text([chr(c) for c in (*range(0x21, 0x7F), 0x20, 0x09, 0xE9)], max_size=20).map(str.strip)
fields = st.lists(st.tuples(names, values).map(lambda f: f"{f[0]}: {f[1]}"), max_size=5)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """One valid response, with interim ones before it at times, in every framing."""
    eol = draw(st.sampled_from(["\r\n", "\n"]))
    out = b""
    for status in draw(st.lists(st.sampled_from([100, 102, 103]), max_size=2)):
        lines = [f"HTTP/1.1 {status} Wait", *draw(fields), "", ""]
        out += eol.join(lines).encode("latin-1")
    status = draw(st.sampled_from([200, 200, 201, 204, 304, 400, 404, 500, 599]))
    version = draw(st.sampled_from(["1.1", "1.1", "1.0"]))
    lines = [f"HTTP/{version} {status} {draw(values)}", *draw(fields)]
    lines += draw(st.sampled_from([[], [], ["Connection: close"], ["connection: x, Close"]]))
    lines += draw(st.sampled_from([[], ["Content-Type: text/event-stream; charset=utf-8"]]))
    body = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    framing = draw(st.sampled_from(["length", "chunked", "close"] if version == "1.1" else ["length", "close"]))
    if framing == "length":
        lines.append(f"Content-Length: {len(b''.join(body))}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: " + draw(st.sampled_from(["chunked", "Chunked"])))
    lines += draw(fields)
    out += eol.join([*lines, "", ""]).encode("latin-1")
    if status in (204, 304):
        return out
    if framing != "chunked":
        return out + b"".join(body)
    for piece in body:
        extension = draw(st.sampled_from(["", "", ";a=b", ';q="x y"', " "]))
        size = draw(st.sampled_from(["{:x}", "{:X}", "{:06x}"])).format(len(piece))
        out += f"{size}{extension}\r\n".encode() + piece + b"\r\n"
    return out + "\r\n".join(["0", *draw(fields), "", ""]).encode("latin-1")


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data in pieces, cut at random places."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def read_by_h11(data: bytes) -> tuple[int, bytes, bool] | None:
    """Status, body, whether the connection may be used again; None where h11 refuses the response."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    status, body, has_closed = 0, b"", False
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                may_reuse = connection.their_state is h11.DONE and not has_closed
                return status, body, may_reuse
            elif event is h11.NEED_DATA and not has_closed:
                connection.receive_data(b"")
                has_closed = True
            elif event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None


@settings(UNHURRIED, max_examples=300)
@given(st.data())
def test_valid_responses_agree_with_h11(data: st.DataObject) -> None:
    response = data.draw(responses())
    expected = read_by_h11(response)
    assert expected is not None
    got = parsers.parse_http(data.draw(cuts(response)))
    assert got["error"] == ""
    assert got["complete"]
    assert (got["status"], got["body"], got["keep_alive"]) == expected
    assert got["n_leftover"] == 0
    assert got["is_event_stream"] == (b"\nContent-Type: text/event-stream" in response.split(b" ", 1)[1])


@settings(UNHURRIED, max_examples=300)
@given(st.data())
def test_damaged_responses_agree_with_h11_where_both_accept_them(data: st.DataObject) -> None:
    response = bytearray(data.draw(responses()))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(response) - 1))
        damage = data.draw(st.sampled_from([b"", b"\r", b"\n", b" ", b"0", b"5", b":", b";", b"\x00", b"\xff"]))
        response[place : place + data.draw(st.integers(0, 2))] = damage
        if not response:
            return
    damaged = bytes(response)
    whole = parsers.parse_http([damaged])
    bytewise = parsers.parse_http([damaged[i : i + 1] for i in range(len(damaged))])
    assert {**bytewise, "n_leftover": 0} == {**whole, "n_leftover": 0}
    expected = read_by_h11(damaged)
    if expected is not None and whole["complete"]:
        assert (whole["status"], whole["body"]) == expected[:2]


VECTORS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1",
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 2\n\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
]


@pytest.mark.parametrize("data", VECTORS)
def test_every_split_in_two_gives_the_same(data: bytes) -> None:
    whole = parsers.parse_http([data])
    for cut in range(len(data) + 1):
        got = parsers.parse_http([data[:cut], data[cut:]])
        if whole["error"]:  # how much was left unread says nothing after an error
            got["n_leftover"] = whole["n_leftover"]
        assert got == whole
    bytewise = parsers.parse_http([data[i : i + 1] for i in range(len(data))])
    assert bytewise | {"n_leftover": 0} == whole | {"n_leftover": 0}


def test_connection_that_stays_open_is_not_complete() -> None:
    got = parsers.parse_http([b"HTTP/1.1 200 OK\r\n\r\nmore may come"], eof=False)
    assert not got["complete"]
    assert got["error"] == ""
    assert got["body"] == b"more may come"
    assert not parsers.parse_http([], eof=False)["started"]
    assert "before any response byte" in parsers.parse_http([])["error"]


def test_folded_value_is_joined() -> None:
    got = parsers.parse_http([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip,\r\n\tchunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"])
    assert (got["body"], got["complete"], got["keep_alive"]) == (b"x", True, True)


def test_wrong_types_are_refused() -> None:
    with pytest.raises(TypeError):
        parsers.parse_http(["text"])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        parsers.parse_http(b"bytes")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["llamacpp_chat", "llamacpp_completions"])
def test_recorded_streams_of_a_real_server(name: str) -> None:
    response = (Path(__file__).parents[1] / "golden" / f"{name}.http").read_bytes()
    whole = parsers.parse_http([response])
    assert (whole["status"], whole["complete"], whole["is_event_stream"]) == (200, True, True)
    kinds = [parsers.read_event(data)["kind"] for _, data in parsers.split_sse([whole["body"]])]
    assert kinds.count("token") == 8  # its usage says completion_tokens 8
    assert kinds[-1] == "done"
    for cut in range(len(response) + 1):
        assert parsers.parse_http([response[:cut], response[cut:]]) == whole
