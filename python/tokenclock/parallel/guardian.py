"""Somebody who finishes what this process began, should it be killed.

A launcher that loses one rank, or gets Ctrl-C, kills the others a fraction of a second later; a rank may also be killed
alone. The guardian is a copy of this process, made before the work begins, that sleeps until this process says that it
is done, or is no more. It lives in a session of its own, which the launcher's kill does not reach.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator

from tokenclock.parallel.outlive import work_apart

__all__ = ["guarded"]


@contextlib.contextmanager
def guarded(finish: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """While the block runs, a process waits that calls `finish` if this one dies or leaves the block before it called
    the function given, which says that the work is done.

    `finish` runs with everything this process knew as the block began. It must not speak to other ranks or to a device;
    every descriptor but those of the standard streams is closed there.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads do not come along: none is asked for
        child = os.fork()
    if child == 0:
        work_apart(lambda: _guard(read_end, finish))
    os.close(read_end)

    def done() -> None:
        with contextlib.suppress(OSError):  # it may have been killed itself
            os.write(write_end, b".")

    try:
        yield done
    finally:
        os.close(write_end)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _guard(read_end: int, finish: Callable[[], None]) -> int:
    """What the guardian does: wait for the word that all is done, or for the end of whoever should have said it."""
    os.closerange(3, read_end)
    os.closerange(read_end + 1, os.sysconf("SC_OPEN_MAX"))
    if os.read(read_end, 1) == b"":
        finish()
    return 0
