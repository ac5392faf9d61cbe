"""Proxies between a client and a loopback server: what they do to bytes on their way back; for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

__all__ = ["Proxy", "rechunked"]

Rewrite = Callable[[Iterator[bytes]], Iterator[bytes]]


class Proxy:
    """Passes requests on as they are, and replies through `rewrite`, a generator over what was read; one per reply
    connection. Context manager; its address is `.url`."""

    def __init__(self, target_port: int, rewrite: Rewrite) -> None:
        self._target_port = target_port
        self._rewrite = rewrite

    def __enter__(self) -> Proxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
                for connection in (client, server):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._open.append(connection)
                ways = ((client, server, lambda pieces: pieces), (server, client, self._rewrite))
                for way in ways:
                    threading.Thread(target=self._pass, args=way, daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, rewrite: Rewrite) -> None:
        def pieces() -> Iterator[bytes]:
            while piece := source.recv(65536):
                yield piece

        with contextlib.suppress(OSError):
            for piece in rewrite(pieces()):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


def rechunked(size: int) -> Rewrite:
    """Takes the chunks of a chunked reply apart and sends the same body in chunks of `size` bytes."""

    def rewrite(pieces: Iterator[bytes]) -> Iterator[bytes]:
        buffer = bytearray()

        def more() -> bool:
            piece = next(pieces, b"")
            buffer.extend(piece)
            return bool(piece)

        def take(n: int) -> bytes:
            while len(buffer) < n and more():
                pass
            taken = bytes(buffer[:n])
            del buffer[:n]
            return taken

        def take_until(mark: bytes) -> bytes:
            while mark not in buffer and more():
                pass
            return take(buffer.index(mark) + len(mark)) if mark in buffer else b""

        while head := take_until(b"\r\n\r\n"):
            yield head
            body = b""
            while n := int(take_until(b"\r\n") or b"0", 16):
                body += take(n + 2)[:-2]
                while len(body) >= size:
                    yield b"%x\r\n%s\r\n" % (size, body[:size])
                    body = body[size:]
            if body:
                yield b"%x\r\n%s\r\n" % (len(body), body)
            yield b"0\r\n\r\n"
            take(2)

    return rewrite
