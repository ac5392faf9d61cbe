"""A small process that starts one command and never lets anything of it live on: run as a script, by its path.

It reads a JSON line on standard input that says what to start, then words: `signal N`, `stop`. When its input ends
(whoever started it is gone, however it died), it stops the command as `stop` does. It lives in a session of its own,
so that no terminal's Ctrl-C reaches it; on Linux it adopts what detaches from the command, so that this ends too.
It answers with JSON lines: `started`, `failed`, `exited`, `stopped`. Standard library only; it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_KILL_S = 5.0  # for the kernel to end what was killed
_AFTER_COMMAND_S = 5.0  # for a server that its stop command has told to end
_LOOK_S = 0.02


def main() -> int:
    """Serve one command until it is to stop; always 0."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    words = _Words()
    spec = json.loads(words.first())
    child = _start(spec)
    if child is None:
        return 0
    _serve(child, words)
    _stop(child, spec)
    _tell(event="stopped", left=_descendants())
    return 0


def _tell(**event: Any) -> None:
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(event).encode() + b"\n")


def _prctl(option: int, value: int) -> None:
    """Linux's own; elsewhere what detaches is not adopted, and the process group is all there is."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class _Words:
    """Lines of standard input, without blocking once the first has come."""

    def __init__(self) -> None:
        self._buffer = b""
        self.ended = False

    def first(self) -> bytes:
        while b"\n" not in self._buffer and not self.ended:
            self._read()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line or b"null"

    def wait(self, timeout_s: float) -> list[str]:
        """Whole lines that are there after at most so long."""
        if select.select([0], [], [], timeout_s)[0]:
            self._read()
        *lines, self._buffer = self._buffer.split(b"\n")
        return [line.decode() for line in lines]

    def _read(self) -> None:
        piece = os.read(0, 65536)
        self.ended = not piece
        self._buffer += piece


def _start(spec: dict[str, Any]) -> subprocess.Popen[bytes] | None:
    def before_exec() -> None:  # nothing else runs in this process: no lock can be held
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    try:
        with open(spec["log"], "ab", buffering=0) as log:
            child = subprocess.Popen(
                spec["argv"],
                stdin=subprocess.PIPE,  # never written to: what watches its input ends with us
                stdout=log,
                stderr=log,
                env={**os.environ, **spec["environment"]},
                start_new_session=True,
                preexec_fn=before_exec,
            )
    except OSError as error:
        _tell(event="failed", error=f"{error.strerror or error}: {error.filename or spec['argv'][0]}")
        return None
    _tell(event="started", pid=child.pid)
    return child


def _serve(child: subprocess.Popen[bytes], words: _Words) -> None:
    told = False
    while True:
        for line in words.wait(_LOOK_S):
            verb, _, argument = line.partition(" ")
            if verb == "stop":
                return
            if verb == "signal":
                _signal_group(child.pid, int(argument))
        if words.ended:
            return
        if not told and child.poll() is not None:
            told = True
            _tell(event="exited", code=child.returncode, left=_descendants())
        if told:
            _reap()


def _stop(child: subprocess.Popen[bytes], spec: dict[str, Any]) -> None:
    """The stop command, the stop signal, SIGTERM, SIGKILL; each only while something is left."""
    if spec["stop_command"]:
        _run_stop_command(spec)
        if _gone_within(child, min(_AFTER_COMMAND_S, spec["stop_timeout_s"])):
            return
    for number, patience_s in (
        (spec["stop_signal"], spec["stop_timeout_s"]),
        (signal.SIGTERM, 0.0 if spec["stop_signal"] == signal.SIGTERM else _KILL_S),
    ):
        if _is_gone(child):
            return
        for group in {_group_of(pid) for pid in [child.pid, *_descendants()]} - {0, os.getpgrp()}:
            _signal_group(group, number)
        if _gone_within(child, patience_s):
            return
    deadline_s = time.monotonic() + _KILL_S
    while not _is_gone(child) and time.monotonic() < deadline_s:
        for pid in [child.pid, *_descendants()]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_S)


def _run_stop_command(spec: dict[str, Any]) -> None:
    with open(spec["log"], "ab", buffering=0) as log, contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            spec["stop_command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **spec["environment"]},
            timeout=max(1.0, spec["stop_timeout_s"]),
            check=False,
        )


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, number)


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _gone_within(child: subprocess.Popen[bytes], patience_s: float) -> bool:
    deadline_s = time.monotonic() + patience_s
    while not _is_gone(child):
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(_LOOK_S)
    return True


def _is_gone(child: subprocess.Popen[bytes]) -> bool:
    if child.poll() is None:
        return False
    _reap()
    return not _descendants()


def _reap() -> None:
    """Take the exit codes of what was adopted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants() -> list[int]:
    """Every living process below this one; empty where there is no /proc."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if name.isdigit():
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    parents[int(name)] = int(parent)
    found, below = [], {os.getpid()}
    while below:
        below = {pid for pid, parent in parents.items() if parent in below}
        found += sorted(below)
    return found


if __name__ == "__main__":
    sys.exit(main())
