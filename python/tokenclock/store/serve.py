"""The server of `history serve`: reads only, for this machine unless told otherwise, and for no other site's pages."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tokenclock.errors import TokenclockError, UsageError
from tokenclock.store.filter import Filter
from tokenclock.store.regressions import DEFAULT_BY
from tokenclock.store.serve_pages import Answer, Site

if TYPE_CHECKING:
    from tokenclock.store.database import Database

__all__ = ["DEFAULT_PORT", "HistoryServer", "is_loopback", "serve"]

DEFAULT_PORT = 8765

_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def serve(
    database: Database,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    where: Filter | None = None,
    *,
    by: Sequence[str] = DEFAULT_BY,
    say: Callable[[str], None] = lambda line: None,
    ready: Callable[[str], None] = lambda address: None,
    ended: Callable[[], bool] = lambda: False,
) -> bool:
    """Answer until told to stop.

    Args:
        database: the history.
        host: address to listen at; others than loopback let everyone read who can reach it.
        port: 0 takes a free one.
        where: which runs are shown; None: all.
        by: columns that divide runs into series.
        say: told of requests that failed in here, in one line.
        ready: told the address once connections are taken.
        ended: asked five times a second whether it is enough.

    Returns:
        whether a thread is still reading: an interpreter that ends meanwhile may be aborted by it.

    Raises:
        UsageError: it cannot listen there.
        KeyboardInterrupt: Ctrl-C, where no handler is set; the socket is closed.
    """
    with HistoryServer(database, host, port, where or Filter(), by=by, say=say) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        thread.start()
        warming = threading.Thread(target=server.site.warm, daemon=True)
        warming.start()
        try:
            ready(server.address)
            while not ended() and thread.is_alive():
                thread.join(0.2)
        finally:
            server.shutdown()
    return warming.is_alive() or server.n_answering > 0


class HistoryServer(ThreadingHTTPServer):
    """A server bound to its address; a context that closes it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        database: Database,
        host: str,
        port: int,
        where: Filter,
        *,
        by: Sequence[str] = DEFAULT_BY,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.site, self.say, self._asked = Site(database, where, by=by), say, host.strip("[]").lower()
        self.n_answering, self._counting = 0, threading.Lock()
        try:
            family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
            self.address_family = family
            super().__init__((str(place[0]), port), _Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UsageError(
                    f"port {port} of {host} is in use; give another with --port, or 0 for one that is free"
                ) from error
            raise UsageError(f"cannot listen at {host} port {port}: {error.strerror or error}; give another") from error
        except OverflowError as error:
            raise UsageError(f"--port must be from 0 to 65535, got {port}") from error

    def server_bind(self) -> None:
        """Without looking up the machine's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def address(self) -> str:
        """Where the dashboard is."""
        name = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"http://{name}:{self.server_port}/"

    def takes(self, told: str | None) -> bool:
        """Whether a request's Host names this server, and not a site that had its name point here.

        On loopback: loopback's names. Elsewhere also addresses as such, and the names of this machine.
        """
        if not told:
            return False
        try:
            host = (urlsplit(f"//{told}").hostname or "").lower()
        except ValueError:
            return False
        if is_loopback(host) or host == self._asked:
            return True
        if is_loopback(self.server_name):
            return False
        with contextlib.suppress(ValueError):
            return bool(ipaddress.ip_address(host))
        return host in (socket.gethostname().lower(), socket.getfqdn().lower())

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection, counted while it is open."""
        with self._counting:
            self.n_answering += 1
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._counting:
                self.n_answering -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that left is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: HistoryServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tokenclock", ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _refuse(self) -> None:
        self.close_connection = True  # its body is not read
        self._send(Answer(405, "application/json", [b'{"error":"the history is only read here: GET and HEAD"}']), True)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _refuse

    def _answer(self, *, with_body: bool) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not self.server.takes(hosts[0]):
            self.close_connection = True
            text = b'{"error":"the Host of this request is not this server"}'
            self._send(Answer(403, "application/json", [text]), with_body)
            return
        try:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50))
            found = self.server.site.answer(unquote(parts.path), query)
        except (ImportError, OSError, TokenclockError) as error:
            self.server.say(f"{self.path[:200]}: {error}")
            found = Answer(503, "application/json", [b'{"error":"the history cannot be read now"}'])
        except ValueError:
            found = Answer(400, "application/json", [b'{"error":"the address is malformed"}'])
        except Exception as error:
            self.server.say(f"{self.path[:200]}: {type(error).__name__}: {error}")
            found = Answer(500, "application/json", [b'{"error":"an error in tokenclock; its terminal says more"}'])
        self._send(found, with_body)

    def _send(self, answer: Answer, with_body: bool) -> None:
        try:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.type)
            self.send_header("Content-Length", str(sum(map(len, answer.body))))
            if answer.status == 405:
                self.send_header("Allow", "GET, HEAD")
            if self.close_connection:
                self.send_header("Connection", "close")
            for name, value in _HEADERS:
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                for piece in answer.body:
                    self.wfile.write(piece)
        except OSError:  # the reader left
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a terminal full of addresses hides what matters."""
