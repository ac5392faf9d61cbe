"""Somebody finishes what a process began, should it be killed; and nobody does when it came to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tokenclock.parallel.guardian import guarded

_PROGRAM = """
import os, signal, sys
from pathlib import Path
from tokenclock.parallel.guardian import guarded
target = Path(sys.argv[1])
with guarded(lambda: target.write_text("by the guardian")) as done:
    {work}
"""


def run(work: str, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROGRAM.format(work=work), str(target)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def written(target: Path) -> str:
    deadline_s = time.monotonic() + 10
    while not target.exists() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return target.read_text()


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_a_killed_process_is_finished_for(number: str, tmp_path: Path) -> None:
    ended = run(f"os.killpg(os.getpgid(0), signal.{number}) if os.setpgid(0, 0) is None else None", tmp_path / "f")
    assert ended.returncode == -getattr(signal, number)
    assert written(tmp_path / "f") == "by the guardian"


def test_so_is_one_that_raised(tmp_path: Path) -> None:
    assert run("raise RuntimeError('broken')", tmp_path / "f").returncode == 1
    assert written(tmp_path / "f") == "by the guardian"


def test_work_that_is_done_is_left_alone(tmp_path: Path) -> None:
    for work in ("done()", "done(); raise RuntimeError('after it')"):
        run(work, tmp_path / "f")
        time.sleep(0.2)
        assert not (tmp_path / "f").exists()


def test_no_guardian_is_left_behind(tmp_path: Path) -> None:
    with guarded(lambda: None) as done:
        done()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
