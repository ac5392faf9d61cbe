"""A loopback HTTP server that answers each request as a function says; for tests."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Request", "ScriptedServer", "completion_events", "json_reply", "sse_reply"]


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Callable[[Request, socket.socket], bytes]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def json_reply(value: Any, status: str = "200 OK") -> bytes:
    """A whole JSON reply with Content-Length."""
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def sse_reply(events: list[str], *, end: bool = True) -> bytes:
    """A chunked event stream of the given data lines."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(_chunk(f"data: {event}\n\n".encode()) for event in events)
    return head + body + (b"0\r\n\r\n" if end else b"")


def completion_events(texts: list[str], *, usage: dict[str, Any] | None = None, finish: bool = True) -> list[str]:
    """Data lines of a completions stream."""
    events = [json.dumps({"id": "cmpl-1", "choices": [{"index": 0, "text": text}]}) for text in texts]
    if finish:
        events.append(json.dumps({"id": "cmpl-1", "choices": [{"index": 0, "text": "", "finish_reason": "length"}]}))
    if usage is not None:
        events.append(json.dumps({"id": "cmpl-1", "choices": [], "usage": usage}))
    return [*events, "[DONE]"] if finish else events


@dataclass
class ScriptedServer:
    """`script(request, socket)` returns the bytes to send; it may write to the socket itself and close it."""

    script: Script
    requests: list[Request] = field(default_factory=list)
    n_connections: int = 0
    port: int = 0  # 0: any free one

    def __enter__(self) -> ScriptedServer:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.n_connections += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while request := _read(stream):
                    self.requests.append(request)
                    connection.sendall(self.script(request, connection))
            except OSError:
                return


def _read(stream: Any) -> Request | None:
    line = stream.readline().decode()
    if not line.strip():
        return None
    method, path, _ = line.split(" ", 2)
    headers: dict[str, str] = {}
    while (line := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(method, path, headers, stream.read(int(headers.get("content-length", "0"))))
