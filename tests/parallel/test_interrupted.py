"""Ctrl-C at mpirun: all ranks stop at the same turn, and rank 0 saves, though the launcher kills it meanwhile."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.parallel.launching import LAUNCHERS, launch, program

from tokenclock.parallel.outlive import outlive


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ctrl_c_stops_all_ranks_at_one_turn(launcher: str, tmp_path: Path) -> None:
    saved, started = tmp_path / "saved.json", tmp_path / "started"
    ended = launch(LAUNCHERS[launcher](), 2, program("stop", str(saved), str(started)), interrupt_when=started)
    assert ended.returncode != 0
    deadline_s = time.monotonic() + 10
    while not saved.exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    turns = json.loads(saved.read_text())
    assert len(turns) == 2
    assert turns[0] == turns[1] >= 10


def test_work_that_outlives_hands_its_exit_code_back(tmp_path: Path) -> None:
    def work() -> int:
        (tmp_path / "made").write_text("by the copy")
        return 130

    assert outlive(work) == 130
    assert (tmp_path / "made").read_text() == "by the copy"


def test_work_that_fails_is_an_exit_code_of_one(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise RuntimeError("disk full")

    assert outlive(work) == 1
    assert "disk full" in capfd.readouterr().err
