"""Ranks that work until they are told to stop, and stop at the same turn; rank 0 writes the turn to FILE.

stop.py FILE STARTED: STARTED is made when the ranks are at work.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tokenclock.interrupts import deferred_interrupts
from tokenclock.parallel import connect
from tokenclock.parallel.outlive import outlive

target, started = Path(sys.argv[1]), Path(sys.argv[2])
world = connect()


def save(turns: list[int]) -> int:
    time.sleep(1.5)  # longer than a launcher waits between asking to end and killing
    target.write_text(json.dumps(turns))
    return 130


with deferred_interrupts(lambda line: None, ends_process=True) as stop_requested:
    turn = 0
    while not any(world.gather_all(stop_requested())):
        turn += 1
        time.sleep(0.01)
        if turn == 10 and world.rank == 0:
            started.touch()
    turns = world.gather(turn)
    sys.exit(130 if turns is None else outlive(lambda: save(turns)))
