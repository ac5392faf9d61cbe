"""A child process that answers questions, a line of JSON each, and ends when its standard input does."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Child", "ChildSilent", "quiet_environment"]

# Set by launchers of MPI and of clusters: a child that inherits them could be taken for a rank.
_LAUNCHERS = ("MPI", "OMPI_", "PMI_", "PMIX_", "PRTE_", "OPAL_", "ORTE_", "SLURM_", "I_MPI_", "MV2_", "HYDRA_", "HYDI_",
              "PALS_", "FLUX_", "LSB_", "JSM_")  # fmt: skip
_END_LIMIT_S = 2.0


def quiet_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment (default: this process's) without the variables by which launchers make a process a rank."""
    given = os.environ if environment is None else environment
    return {name: text for name, text in given.items() if not name.startswith(_LAUNCHERS)}


class ChildSilent(Exception):
    """The child gave no answer: it ended, or took too long. The text says which."""


class Child:
    """``python -m MODULE ARGUMENTS`` with pipes. In a session of its own: Ctrl-C is for the measurement.

    Raises:
        OSError: the process could not be started.
    """

    def __init__(self, module: str, arguments: Sequence[str] = ()) -> None:
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (lives as long as the child)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                env=quiet_environment(), start_new_session=True,
            )  # fmt: skip
        except OSError:
            self._errors.close()
            raise
        self._unread = b""

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def say(self, message: Mapping[str, Any]) -> None:
        """Send one line. Raises ChildSilent when nobody reads it any more."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise ChildSilent(f"it has ended{self._last_words()}") from error

    def answer(self, limit_s: float) -> dict[str, Any]:
        """Its next line. Raises ChildSilent when none comes within `limit_s`, or it is no JSON object."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        deadline_s = time.monotonic() + limit_s
        while b"\n" not in self._unread:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not poller.poll(left_s * 1e3):
                raise ChildSilent(f"it gave no answer within {limit_s:g} s")
            part = os.read(descriptor, 65536)
            if not part:
                with contextlib.suppress(subprocess.TimeoutExpired):  # so that its last words are whole
                    self._process.wait(_END_LIMIT_S)
                raise ChildSilent(f"it has ended{self._last_words()}")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ChildSilent(f"it answered {line[:100]!r}")
        return found

    def end(self) -> None:
        """Close its input and wait a moment; kill it when it goes on. Safe to call twice."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # inside the driver it may be past killing
                self._process.wait(_END_LIMIT_S)
        self._process.stdout.close()
        self._errors.close()

    def _last_words(self) -> str:
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return f"; its last words: {lines[-1]}" if lines else ""
