"""Ranks that meet a few times; then one of them ends in the way that is asked for, or all do.

fail.py HOW [FILE]: the last rank fails; FILE is made just before, with the instant.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tokenclock.errors import TokenclockError, UsageError
from tokenclock.parallel import RankLost, connect
from tokenclock.parallel.ending import end_with


def fail(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "terminate":
        os.kill(os.getpid(), signal.SIGTERM)
    elif how == "raise":
        raise RuntimeError("the model caught fire")
    elif how == "usage":
        raise UsageError("no such directory here")
    elif how == "exit":
        sys.exit(3)
    elif how == "leave":
        sys.exit(0)


def main(how: str, mark: str | None) -> None:
    world = connect()
    for _ in range(10):
        world.barrier()
    if how == "all":
        raise UsageError("no such directory anywhere")
    if world.rank == world.size - 1:
        if mark is not None:
            Path(mark).write_text(str(time.time()))
        fail("usage" if how == "alone" else how)
    if how == "alone":  # as in a collective of a model runtime, which knows nothing of us
        time.sleep(600)
    world.barrier()
    world.barrier()


try:
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
except TokenclockError as error:
    end_with("tokenclock fail", str(error), error.exit_code, about_another=isinstance(error, RankLost))
    sys.exit(error.exit_code)
