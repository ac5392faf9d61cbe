"""A command under the watch of a supervisor: however this process ends, nothing of the command is left running."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenclock.errors import MeasurementError
from tokenclock.sweep import supervise

__all__ = ["Supervised", "as_argv"]

_SLACK_S = 25.0  # the supervisor's own limits beyond the stop time-outs


def as_argv(command: str | Sequence[str]) -> list[str]:
    """Words as they are; a text is a line of the shell."""
    return ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)


class Supervised:
    """Starts a command at once; context manager, whose end stops it.

    Args:
        command: a line of the shell, or words.
        log: file that its output is added to.
        environment: variables beside those of this process.
        stop_signal: first signal to the whole process group.
        stop_timeout_s: how long each step of stopping may take before the next, harder one.
        stop_command: run before any signal; it ends what is out of reach of signals, as in a container.

    Raises:
        MeasurementError: it cannot be started.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        stop_signal: int = signal.SIGTERM,
        stop_timeout_s: float = 30.0,
        stop_command: str | Sequence[str] | None = None,
    ) -> None:
        self.exit_code: int | None = None
        self.left: list[int] = []  # descendants alive when it exited
        self._stop_timeout_s = stop_timeout_s
        self._buffer = b""
        self._stopped = False
        self._pid = 0
        spec = {
            "argv": as_argv(command),
            "log": str(log),
            "environment": dict(environment or {}),
            "stop_signal": int(stop_signal),
            "stop_timeout_s": stop_timeout_s,
            "stop_command": None if stop_command is None else as_argv(stop_command),
        }
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", supervise.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._say(json.dumps(spec))
        first = self._next_event(time.monotonic() + 30.0)
        if first.get("event") != "started":
            self.stop()
            raise MeasurementError(f"cannot start {as_argv(command)[0]}: {first.get('error', 'its supervisor ended')}")
        self._pid = int(first["pid"])

    @property
    def pid(self) -> int:
        """Process id of the command, which is also its process group."""
        return self._pid

    def poll(self) -> int | None:
        """The exit code (negative: a signal ended it), None while it runs."""
        while self.exit_code is None:
            event = self._next_event(0.0)
            if not event:
                break
            self._note(event)
        return self.exit_code

    def wait(self, timeout_s: float) -> int | None:
        """As `poll`, after waiting for the end for at most so long."""
        deadline_s = time.monotonic() + timeout_s
        while self.poll() is None and time.monotonic() < deadline_s:
            event = self._next_event(deadline_s)
            if event:
                self._note(event)
        return self.exit_code

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group."""
        self._say(f"signal {int(number)}")

    def stop(self) -> list[int]:
        """Stop whatever is left, escalating; process ids that outlived even SIGKILL. Safe to call twice."""
        if self._stopped:
            return []
        self._stopped = True
        self._say("stop")
        deadline_s = time.monotonic() + 2 * self._stop_timeout_s + _SLACK_S
        left: list[int] = []
        while event := self._next_event(deadline_s):
            if event.get("event") == "stopped":
                left = list(event["left"])
                break
            self._note(event)
        else:
            self._kill_group()
        for pipe in (self._child.stdin, self._child.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=5.0)
        return left

    def __enter__(self) -> Supervised:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _note(self, event: Mapping[str, Any]) -> None:
        if event.get("event") == "exited":
            self.exit_code = int(event["code"])
            self.left = list(event["left"])

    def _kill_group(self) -> None:
        """The supervisor itself was killed: its command died with it, what that started may not have."""
        if self._pid:
            with contextlib.suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)

    def _say(self, line: str) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._child.stdin.write(line.encode() + b"\n")
            self._child.stdin.flush()

    def _next_event(self, deadline_s: float) -> dict[str, Any]:
        """The next thing the supervisor tells; empty when nothing came in time, or it is gone."""
        assert self._child.stdout is not None
        while b"\n" not in self._buffer:
            left_s = max(0.0, deadline_s - time.monotonic())
            if not select.select([self._child.stdout], [], [], left_s)[0]:
                return {}
            piece = os.read(self._child.stdout.fileno(), 65536)
            if not piece:
                if self.exit_code is None:
                    self.exit_code = -signal.SIGKILL
                return {}
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        event: dict[str, Any] = json.loads(line)
        return event
