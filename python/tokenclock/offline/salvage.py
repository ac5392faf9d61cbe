"""Makes the result of a run whose ranks were killed, from its event log.

mpirun answers Ctrl-C by killing its ranks a moment later: too soon, on a busy machine, for what is yet to be written.
The process that does it here is started before the loop, in a session of its own that the launcher's kill does not
reach, and sleeps until rank 0 says that all is written, or is no more. It is no fork of rank 0: pages that such a copy
shares would cost the timed iterations a fault each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tokenclock.device.child import quiet_environment

__all__ = ["Salvage", "main"]


class Salvage:
    """The process, from its start to `done`.

    Args:
        log: directory of the event log.
        path: of the result's JSON.
        temporary: the log is nobody's: it goes once the result is written.
        known: what a log does not hold, JSON-ready: groups of the result (``model``, ``ranks``, ``loop``, ``created``).
    """

    def __init__(self, log: str, path: str, *, temporary: bool, known: Mapping[str, Any]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        command = [sys.executable, "-m", "tokenclock.offline.salvage", log, path, "temporary" if temporary else "kept"]
        with suppress(OSError):  # then a killed run leaves its log, as ever
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, env=quiet_environment(), start_new_session=True
            )
            self._say(json.dumps(known).encode("ascii") + b"\n")

    def _say(self, what: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):  # it was killed itself
            self._process.stdin.write(what)
            self._process.stdin.flush()

    def done(self) -> None:
        """All is written. Calling it twice does no harm."""
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.closed:
            self._say(b".")

    def __enter__(self) -> Salvage:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the process: without `done` it now writes what the log holds."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
            self._process.wait()


def main(arguments: Sequence[str]) -> int:
    """LOG JSON temporary|kept: wait for the word on standard input; where it never comes, write the result."""
    log, path, kind = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    known = sys.stdin.buffer.readline()
    if not known or sys.stdin.buffer.read(1) == b".":
        return 0
    with suppress(OSError):  # nobody may listen any more
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (to the end of the process)
    write_result(log, path, json.loads(known))
    if kind == "temporary":
        shutil.rmtree(log, ignore_errors=True)
    return 0


def write_result(log: str, path: str, known: Mapping[str, Any]) -> None:
    """The result of the log, with what its run knew besides, into its file."""
    from tokenclock import environment
    from tokenclock.from_events import rebuild
    from tokenclock.report import json_file

    result, _, _ = rebuild(log)
    json_file.write(replace(result, environment=environment.collect(), incomplete=True, **known), path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
