"""Ctrl-C and its relatives as a wish to stop, for the stretch in which an exception would lose what was measured."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["deferred_interrupts"]

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # SIGHUP: the terminal went away


@contextmanager
def deferred_interrupts(say: Callable[[str], None], *, ends_process: bool = False) -> Iterator[Callable[[], bool]]:
    """Within the block SIGINT, SIGTERM and SIGHUP raise nothing; the function given tells whether one came.

    Signals that are ignored (as under nohup) stay so. Outside the main thread signals are not ours: then the function
    always says no.

    say: told once, at the first signal, that the run is being wound up.
    ends_process: the process has only to print and exit afterwards; after a first signal further ones are ignored for
    good, so that an impatient second one does not take the exit code away.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if not came:
            say(f"{signal.Signals(number).name}: stopping, and saving what was measured")
        came.append(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in ours:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_IGN if came and ends_process else before[number])
