"""Lines for people on standard error, which may be full, closed or without a reader: no line is worth a run."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, Any, cast

__all__ = ["QuietStream", "quiet_stderr", "say_on_stderr"]


def say_on_stderr(line: str) -> None:
    """Print one line; where stderr does not take it, it is lost, and what is said later goes nowhere."""
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # ValueError: of a stream that was closed
        _give_up()


class QuietStream:
    """A text stream to draw on: as `stream`, but what it does not take is lost without an error."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Length of `text`, taken or not."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def quiet_stderr() -> IO[str]:
    """Standard error as it is now, to draw on."""
    return cast("IO[str]", QuietStream(sys.stderr))


def _give_up() -> None:
    """Send what is still in the buffer nowhere, else the interpreter fails on it at its end, with a code of its own."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)
