"""What the processes of test_writers.py do: `python writers.py TASK PLACE NUMBER`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import islice

from tests.store.synthetic import synthetic_runs

from tokenclock.store.database import open_database
from tokenclock.store.record import RunRecord


def add_shares(place: str, number: int) -> None:
    """Ten calls of ten runs, from 50 times `number` on: half of them are another writer's too."""
    mine = list(islice(synthetic_runs(600), number * 50, number * 50 + 100))
    new = 0
    with open_database(place) as database:
        for start in range(0, 100, 10):
            new += database.add(mine[start : start + 10]).new
    print(new)


def stop_in_the_middle(place: str, number: int) -> None:
    """An add whose records stop coming after `number`, when those before them are in the transaction."""

    def records() -> Iterator[RunRecord]:
        yield from synthetic_runs(number)
        print("in the middle", flush=True)
        time.sleep(600)

    with open_database(place) as database:
        database.add(records())


def add_for_ever(place: str, number: int) -> None:
    """Calls of `number` runs each; says each that is in."""
    rest = iter(synthetic_runs(1_000_000))
    with open_database(place) as database:
        while True:
            database.add(list(islice(rest, number)))
            print("in", flush=True)


if __name__ == "__main__":
    task = {"shares": add_shares, "middle": stop_in_the_middle, "ever": add_for_ever}[sys.argv[1]]
    task(sys.argv[2], int(sys.argv[3]))
