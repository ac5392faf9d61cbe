"""A second Ctrl-C while the main thread is inside a native call, where no Python handler runs until it is back."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["second_signal_ends"]

PATIENCE_S = 1.0
"""How long the block may take to end by itself after a signal."""


@contextmanager
def second_signal_ends(say: Callable[[str], None], *, exit_code: int = 130) -> Iterator[None]:
    """Within the block a second SIGINT, SIGTERM or SIGHUP ends the process, where the first has not ended the block.

    Signals arrive by the wake-up descriptor, which the interpreter's own handler writes to whatever the main thread is
    doing. Nothing is saved then: what is to be kept has been written before. Outside the main thread it does nothing.

    say: told once that the call under way goes on, and what a second signal does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    over = threading.Event()
    watching = threading.Thread(target=_watch, args=(ours, over, say, exit_code), daemon=True)
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    watching.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        over.set()
        theirs.close()
        watching.join()
        ours.close()


def _watch(ours: socket.socket, over: threading.Event, say: Callable[[str], None], exit_code: int) -> None:
    n_seen = 0
    while numbers := ours.recv(64):
        n_seen += sum(number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) for number in numbers)
        if n_seen == 0 or over.wait(PATIENCE_S):
            continue
        if n_seen == 1:
            say("the iteration under way goes on to its end; once more ends it now, and keeps what is written already")
        else:
            say("ended within an iteration, which is lost")
            time.sleep(0.05)  # for whoever reads our last line
            os._exit(exit_code)
