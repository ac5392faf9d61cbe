"""Saving what was measured while the launcher is killing its ranks.

After Ctrl-C mpirun ends its ranks by SIGTERM and then SIGKILL, a quarter of a second apart in Open MPI 5 and a second
in Open MPI 4: less than writing a result may take. The kill goes to the rank and its process group; a child in a
session of its own is not reached.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

__all__ = ["outlive", "work_apart"]


def outlive(work: Callable[[], int]) -> int:
    """Call `work` in a copy of this process that lives on when the launcher kills this one, and wait for it.

    The copy must not speak to other ranks or to a device, and its output may find nobody who reads it.

    Args:
        work: returns an exit code.

    Returns:
        That exit code; 1 when `work` raised, after its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads do not come along: none is asked for
        child = os.fork()
    if child == 0:
        work_apart(work)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def work_apart(work: Callable[[], int]) -> NoReturn:
    """The whole life of a forked copy: a session of its own, no signals of the launcher, then `work` and the end."""
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        code = work()
    except BaseException:
        with contextlib.suppress(Exception):
            import traceback

            traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)  # no exit handlers: they are the ranks'
