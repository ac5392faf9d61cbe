"""One question to the server outside of the measured load: a GET or POST, past any proxy, within a time limit."""

from __future__ import annotations

import http.client
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from tokenclock.plan import ServingPlan
from tokenclock.serving.endpoint import Endpoint
from tokenclock.serving.transport import open_connection

__all__ = ["Answer", "ask"]

LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """What the server said, or why nothing came."""

    status: int = 0  # HTTP status; 0: no answer
    body: bytes = b""
    problem: str | None = None  # None for a whole answer with a status of 200 to 299
    distrusted: bool = False  # its certificate was refused: asking again changes nothing

    @property
    def ok(self) -> bool:
        """Whether a whole answer came and said yes."""
        return self.problem is None

    def json(self) -> Any:
        """The body as JSON, None when it is none or there is no answer."""
        if not self.ok:
            return None
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def ask(plan: ServingPlan, method: str, path: str, *, timeout_s: float = 2.0) -> Answer:
    """Send one request to `path` below the base URL, with the plan's headers; failures are told, none is raised.

    timeout_s: longest time for the whole answer. A POST carries an empty JSON object.
    """
    endpoint = Endpoint.parse(plan.endpoint.base_url)
    headers = {"Accept": "*/*", "Connection": "close", "Host": endpoint.host_header}
    if method == "POST":
        headers["Content-Type"] = "application/json"
    if plan.endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {plan.endpoint.api_key}"
    for name, value in plan.endpoint.headers:
        headers = {known: text for known, text in headers.items() if known.lower() != name.lower()} | {name: value}
    deadline_s = time.monotonic() + timeout_s
    try:
        connection = open_connection(plan, timeout_s=timeout_s)
    except (OSError, ImportError) as error:
        return Answer(problem=str(error) or type(error).__name__)
    try:
        connection.request(method, endpoint.prefix + path, body=b"{}" if method == "POST" else None, headers=headers)
        response = connection.getresponse()
        body = _read(response, connection, deadline_s)
        if not 200 <= response.status < 300:
            return Answer(response.status, body, f"HTTP {response.status} {response.reason}".rstrip())
        return Answer(response.status, body)
    except TimeoutError:
        return Answer(problem=f"no answer within {timeout_s:g} s")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(problem=str(error) or type(error).__name__, distrusted=_is_distrust(error))
    finally:
        connection.close()


def _is_distrust(error: Exception) -> bool:
    ssl = sys.modules.get("ssl")  # loaded by whoever raised it
    return ssl is not None and isinstance(error, ssl.SSLCertVerificationError)


def _read(response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline_s: float) -> bytes:
    """The body, piece by piece, so that a server that drips cannot hold a run up."""
    body = bytearray()
    while True:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(left_s)
        piece = response.read1(_PIECE_BYTES)
        if not piece:
            break
        body += piece
        if len(body) > LARGEST_ANSWER_BYTES:
            raise ValueError(f"the answer is longer than {LARGEST_ANSWER_BYTES >> 20} MiB")
    if response.length:  # read1 takes an early end for the end
        raise ValueError("the answer broke off")
    return bytes(body)
