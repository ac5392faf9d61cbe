"""How a server is reached: over TCP or a Unix socket, plain or by TLS; the same for the load and for questions."""

from __future__ import annotations

import http.client
import os
import socket
from typing import TYPE_CHECKING

from tokenclock._core import TlsContext, tls_problem
from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan
from tokenclock.serving.endpoint import Endpoint

if TYPE_CHECKING:
    import ssl

__all__ = ["addresses_of", "open_connection", "reach", "tls_context"]


def reach(plan: ServingPlan) -> list[tuple[str, int]]:
    """Everything that can be checked before the first connection; returns `addresses_of(plan)`.

    Raises UsageError where TLS cannot be spoken as asked, MeasurementError where the host name is unknown.
    """
    tls_context(plan)
    return addresses_of(plan)


def addresses_of(plan: ServingPlan) -> list[tuple[str, int]]:
    """What the native client connects to: numeric addresses and ports, or the path of a Unix socket (its port is 0)."""
    path = plan.transport.unix_socket
    return Endpoint.parse(plan.endpoint.base_url).resolve() if path is None else [(os.path.abspath(path), 0)]


def tls_context(plan: ServingPlan) -> TlsContext | None:
    """The native client's side of TLS, or None for a plain server.

    Raises UsageError with one line: no libssl on this machine, or a file that cannot be used.
    """
    asked = plan.transport
    endpoint = Endpoint.parse(plan.endpoint.base_url)
    if not endpoint.is_tls:
        return None
    if problem := tls_problem():
        raise UsageError(f"https:// needs OpenSSL: {problem}")
    _check_files(plan)
    try:
        return TlsContext.client(
            host=endpoint.tls_host,
            verify=not asked.insecure,
            ca_file=asked.cacert or "",
            certificate=asked.cert or "",
            key=asked.key or "",
        )
    except ValueError as error:
        if "private key" in str(error) and asked.cert and asked.key is None and not _holds_key(asked.cert):
            raise UsageError(f"there is no private key in {asked.cert}: give it by --key FILE (PEM)") from error
        raise UsageError(f"{error}; --cacert, --cert and --key take PEM files") from error


def _check_files(plan: ServingPlan) -> None:
    asked = plan.transport
    files = asked.files
    if asked.cacert is None and not asked.insecure:
        files["SSL_CERT_FILE"] = os.environ.get("SSL_CERT_FILE") or None  # OpenSSL passes over one that is not there
    for flag, path in files.items():
        if path is None:
            continue
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise UsageError(f"{flag}: cannot read {path} ({error.strerror}); give a PEM file") from error


def _holds_key(path: str) -> bool:
    with open(path, "rb") as file:
        return b"PRIVATE KEY-----" in file.read(1 << 20)


def open_connection(plan: ServingPlan, *, timeout_s: float) -> http.client.HTTPConnection:
    """A connection for a question beside the load, with the plan's certificates; it connects when it is used.

    timeout_s: longest wait for the connection and for each piece of an answer. Raises OSError for TLS files that Python
    cannot use, ImportError where Python has no `ssl`.
    """
    endpoint = Endpoint.parse(plan.endpoint.base_url)
    context = _python_context(plan) if endpoint.is_tls else None
    return _Connection(endpoint, plan.transport.unix_socket, context, timeout_s)


class _Connection(http.client.HTTPConnection):
    """HTTP over any of the ways there are."""

    def __init__(
        self, endpoint: Endpoint, unix_socket: str | None, context: ssl.SSLContext | None, timeout_s: float
    ) -> None:
        super().__init__(endpoint.host, endpoint.port, timeout=timeout_s)
        self._tls_host = endpoint.tls_host
        self._unix_socket = unix_socket
        self._context = context

    def connect(self) -> None:
        """Connect, and shake hands where it is TLS."""
        if self._unix_socket is None:
            super().connect()
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._unix_socket)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self._tls_host)


def _python_context(plan: ServingPlan) -> ssl.SSLContext:
    import ssl

    asked = plan.transport
    context = ssl.create_default_context(cafile=asked.cacert)
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags(0))  # as the native client checks
    context.set_alpn_protocols(["http/1.1"])
    if asked.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if asked.cert is not None:
        context.load_cert_chain(asked.cert, asked.key, password=lambda: b"")  # rather than asking on the terminal
    return context
