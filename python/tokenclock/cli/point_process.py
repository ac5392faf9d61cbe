"""One point of a sweep in a process of its own, which is handed the signals that are to stop the sweep."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from types import FrameType

__all__ = ["run_point"]

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def run_point(words: Sequence[str]) -> int:
    """Run a command and return its exit code; 130 where a signal came, to this process or to the command.

    The command has a session of its own, so that Ctrl-C reaches it once, from here, as does a signal to this process
    alone. It saves what it has and ends. Signals that are ignored, as under nohup, stay so. Only in the main thread.
    """
    children: list[subprocess.Popen[bytes]] = []
    came: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in ours:
        signal.signal(number, hand_on)
    try:
        child = subprocess.Popen(words, start_new_session=True)
        children.append(child)
        if came:  # while it was started
            child.send_signal(came[0])
        code = child.wait()
    finally:
        for number in ours:
            signal.signal(number, before[number])
    return 130 if came or code < 0 else code
