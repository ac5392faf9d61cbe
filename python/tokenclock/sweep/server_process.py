"""The life of one server: started, waited for, probed, stopped; every failure says where to look and what to type."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tokenclock.errors import MeasurementError
from tokenclock.sweep.commands import Settled, port_of, write_options
from tokenclock.sweep.points import Variant
from tokenclock.sweep.processes import Supervised
from tokenclock.sweep.schema import Probe

__all__ = ["Interrupted", "RunningServer", "ServerFailed", "log_tail"]

_POLL_S = 0.1
_TAIL_LINES = 15
_BUSY_S = 2.0  # a server of a sweep that was killed is just being ended
_COPY_S = 600.0  # longest time for results_from


class ServerFailed(MeasurementError):
    """A server did not come up, or did not go; `tail` holds the last lines of its log."""

    def __init__(self, line: str, tail: list[str]) -> None:
        super().__init__(line)
        self.tail = tail


class Interrupted(Exception):
    """Somebody wants the sweep to end."""


class RunningServer:
    """A server from its start to its stop; one without a command is only waited for.

    Args:
        variant: which server.
        settled: its commands as they are run.
        interrupted: asked while waiting.
    """

    def __init__(self, variant: Variant, settled: Settled, interrupted: Callable[[], bool]) -> None:
        self._server = variant.server
        self._settled = settled
        self._interrupted = interrupted
        self._process: Supervised | None = None
        self.ready_s: float | None = None

    def start(self) -> None:
        """Start it, wait until it is healthy, send the probe.

        Raises:
            ServerFailed: it did not come up; it is stopped then.
            Interrupted: while waiting; stopped likewise.
        """
        begun_s = time.monotonic()
        settled = self._settled
        try:
            for folder in (settled.folder, settled.log.parent):
                folder.mkdir(parents=True, exist_ok=True)
            if settled.command is not None:
                self._refuse_busy_port()
                write_options(settled)
                self._process = Supervised(
                    settled.command,
                    log=settled.log,
                    environment=settled.environment,
                    stop_signal=signal.Signals[self._server.stop_signal],
                    stop_timeout_s=self._server.stop_timeout,
                    stop_command=settled.stop_command,
                )
            self._wait_for_health(begun_s + self._server.ready_timeout)
            self.ready_s = time.monotonic() - begun_s
            self._probe()
        except BaseException as error:
            self.stop()
            if isinstance(error, (OSError, MeasurementError)) and not isinstance(error, ServerFailed):
                raise self.failure(f"was not started: {error}") from None
            raise

    def died(self) -> int | None:
        """The exit code of a server that is no more; None while it lives, or where its end is not ours to see."""
        if self._process is None or self._process.poll() is None:
            return None
        if self._process.exit_code == 0 and (self._settled.stop_command or self._process.left):
            return None  # a client or a launcher that has done its part; the server lives on elsewhere
        return self._process.exit_code

    def failure(self, what: str, *, started: bool = True) -> ServerFailed:
        """The failure that says what happened; of one that was `started`, with log, probe to type and folder."""
        log = self._settled.log
        if not started:
            return ServerFailed(f"server {self._server.name} {what}", [])
        where = f"log {log}" if self._settled.command is not None else "it was not started by the sweep"
        line = (
            f"server {self._server.name} {what}; {where}; probe: curl -s {shlex.quote(self._server.health_url)}; "
            f"results in {self._settled.folder}/"
        )
        return ServerFailed(line, log_tail(log) if self._settled.command is not None else [])

    def stop(self) -> str | None:
        """Copy its files out, stop it, see that it is gone; the problem in words, None when all went well."""
        process, self._process = self._process, None
        problem = self._copy_results() if self.ready_s is not None else None
        self.ready_s = None
        if process is None:
            return problem
        if left := process.stop():
            return str(self.failure(f"left processes behind that not even SIGKILL ended: {left}"))
        if self._listens_for(self._server.stop_timeout):
            advice = (
                "its stop_command did not end it" if self._settled.stop_command else "give a stop_command that ends it"
            )
            return str(self.failure(f"still answers on port {port_of(self._server.url)} after its stop: {advice}"))
        return problem

    def _refuse_busy_port(self) -> None:
        if self._listens_for(_BUSY_S):
            port = port_of(self._server.url)
            raise self.failure(
                f"was not started: port {port} is in use by something else; "
                f"stop that (ss -ltnp 'sport = :{port}' names it), give another url, or leave command out",
                started=False,
            )

    def _is_local(self) -> bool:
        return urlsplit(self._server.url).hostname in ("localhost", "127.0.0.1", "::1", "0.0.0.0")

    def _answers(self) -> bool:
        host = urlsplit(self._server.url).hostname or "localhost"
        with contextlib.suppress(OSError), socket.create_connection((host, port_of(self._server.url)), timeout=1.0):
            return True
        return False

    def _listens_for(self, patience_s: float) -> bool:
        deadline_s = time.monotonic() + patience_s
        while self._is_local() and self._answers():
            if time.monotonic() >= deadline_s:
                return True
            time.sleep(_POLL_S)
        return False

    def _wait_for_health(self, deadline_s: float) -> None:
        said = "nothing answered"
        while True:
            if self._interrupted():
                raise Interrupted
            said = _health(self._server.health_url)
            if not said:
                return
            code = self.died()
            if code is not None:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise self.failure(f"died before it was ready ({how})")
            if time.monotonic() >= deadline_s:
                limit = f"ready_timeout: {self._server.ready_timeout:g} s"
                raise self.failure(f"was not ready in time ({limit}; {self._server.health_url}: {said})")
            time.sleep(_POLL_S)

    def _probe(self) -> None:
        probe = self._settled.probe
        if probe is None:
            return
        if isinstance(probe, Probe):
            said = _ask(self._server.url + "/" + probe.path.lstrip("/"), probe)
            if said:
                raise self.failure(f"failed its probe ({probe.path}: {said})")
            return
        log = self._settled.folder / "probe.log"
        with Supervised(probe, log=log, environment=self._settled.environment, stop_timeout_s=1.0) as process:
            code = _wait(process, 60.0, self._interrupted)
        if code != 0:
            ended = "no end within 60 s" if code is None else f"exit code {code}"
            raise ServerFailed(str(self.failure(f"failed its probe ({ended}, see {log})")), log_tail(log))

    def _copy_results(self) -> str | None:
        command = self._settled.results_from
        if command is None:
            return None
        log = self._settled.folder / "results_from.log"
        with Supervised(command, log=log, environment=self._settled.environment, stop_timeout_s=1.0) as process:
            code = process.wait(_COPY_S)
        return None if code == 0 else str(self.failure(f"kept its files: results_from ended with {code}, see {log}"))


def log_tail(path: Path, n_lines: int = _TAIL_LINES) -> list[str]:
    """The last lines of a log; what cannot be read has none."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 16384))
            return file.read().decode("utf-8", "replace").splitlines()[-n_lines:]
    except OSError:
        return []


def _wait(process: Supervised, limit_s: float, interrupted: Callable[[], bool]) -> int | None:
    deadline_s = time.monotonic() + limit_s
    while process.wait(_POLL_S) is None and time.monotonic() < deadline_s:
        if interrupted():
            raise Interrupted
    return process.exit_code


def _health(url: str) -> str:
    """Empty when it says yes, else what came instead."""
    return _open(urllib.request.Request(url), 2.0)


def _ask(url: str, probe: Probe) -> str:
    data = None if probe.body is None else json.dumps(probe.body).encode()
    return _open(urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"}), probe.timeout)


def _open(request: urllib.request.Request, timeout_s: float) -> str:
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with no_proxy.open(request, timeout=timeout_s) as reply:
            reply.read(65536)
            return ""
    except urllib.error.HTTPError as error:
        with error:
            body = error.read(300).decode("utf-8", "replace")
        return f"HTTP {error.code} {' '.join(body.split())[:120]}".rstrip()
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason)
