"""The local test list six times into one history, the last gated on the others; a planted slowdown is caught.

`make long` runs it. The paced server stands for a server that got slower: its gaps are longer by a known share.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "perf_lists/local.txt"
N_RUNS = 6

pytestmark = pytest.mark.skipif("TOKENCLOCK_LONG" not in os.environ, reason="runs the local list six times: make long")


def run_list(folder: Path, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    """One session of pytest over the local list, from an empty folder."""
    work = folder / name
    work.mkdir()
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--perf", f"--test-list={LOCAL}",
        f"--output-dir={work / 'output'}", "--perf-log-formats=csv", f"--perf-history={folder / 'history.db'}", *more,
    ]  # fmt: skip
    return subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=600)


def test_the_last_of_six_runs_is_held_against_the_others(tmp_path: Path) -> None:
    from tokenclock.store.database import open_database

    for i in range(N_RUNS):
        done = run_list(tmp_path, f"run-{i}", "--perf-max-repeats=5")
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    print(f"\n{done.stdout[-2000:]}")
    shown = subprocess.run(
        [sys.executable, "-m", "tokenclock", "baseline", "show", "--history", str(tmp_path / "history.db")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    print(shown.stdout)
    assert "regression" not in shown.stdout
    with open_database(str(tmp_path / "history.db"), read_only=True) as database:
        assert database.pins() == []
