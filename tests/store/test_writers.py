"""Many processes write one history; some are killed. Real processes, real SIGKILL, on both kinds of database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.store.synthetic import synthetic_history, synthetic_runs

from tokenclock.store.database import open_database
from tokenclock.store.record import Added

HERE = Path(__file__).resolve().parent


def writer(task: str, place: str, number: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    command = [sys.executable, str(HERE / "writers.py"), task, place, str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_ten_writers_at_once(place: str) -> None:
    """They make the history together too: it is not there before."""
    many = [writer("shares", place, number) for number in range(10)]
    ended = [process.communicate(timeout=120) for process in many]
    assert [error for _, error in ended] == [""] * 10
    assert sum(int(out) for out, _ in ended) == 550  # each run was new to exactly one of them
    with open_database(place) as database:
        assert database.add(list(synthetic_runs(600))[:550]) == Added(0, 550)
        assert len(database.series("ttft.mean")[()]) == 550
        rows = database.runs()
        assert len(database.metrics_of([row.id for row in rows])) == len({row.hash for row in rows}) == 550


@pytest.mark.parametrize("size", [10, 5_000])
def test_killed_in_the_middle_of_an_add(place: str, size: int) -> None:
    """Of 5 000 runs, 4 000 have been sent to the database when the process is killed."""
    synthetic_history(place, 7, seed=1)
    process = writer("middle", place, size)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    kill(process)
    with open_database(place) as database:
        assert database.count() == 7
        assert len(database.metrics_of([row.id for row in database.runs()])) == 7
        assert database.add(synthetic_runs(size)) == Added(size, 0)


def test_killed_at_any_instant(place: str) -> None:
    """What the process said is in is there; an add is there as a whole or not at all."""
    size, said = 20, 0
    for wait_s in (0.0, 0.003, 0.007, 0.012):
        process = writer("ever", place, size)
        assert process.stdout is not None
        for _ in range(5):
            assert process.stdout.readline() == "in\n"
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        more, error = process.communicate(timeout=60)
        assert error == ""
        said = max(said, 5 + more.count("in\n"))
        with open_database(place) as database:
            n = database.count()
            assert n % size == 0
            assert n >= said * size
            assert len(database.metrics_of([row.id for row in database.runs()])) == n
    if "://" not in place:
        connection = sqlite3.connect(place)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
