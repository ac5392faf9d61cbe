"""Ranks that talk, by real launchers; and the world of one."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from tests.parallel.launching import LAUNCHERS, launch, plain_environment, program

from tokenclock.parallel import OneProcess, connect


def test_the_world_of_one() -> None:
    world = OneProcess(host="here")
    world.barrier()
    assert (world.rank, world.size, world.local_rank, world.host) == (0, 1, 0, "here")
    assert world.broadcast("a") == "a"
    assert world.gather("a") == world.gather_all("a") == ["a"]
    with pytest.raises(SystemExit) as end:
        world.abort(3)
    assert end.value.code == 3


def test_alone_no_mpi_is_looked_for() -> None:
    code = "import sys; from tokenclock.parallel import connect; connect(); print('mpi4py' in sys.modules)"
    for variables in ({}, {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}):
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env=plain_environment(**variables),
        )  # fmt: skip
        assert run.stdout == "False\n"


def test_a_process_of_its_own_is_a_world_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(connect(), OneProcess)


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("n", [2, 4])
def test_ranks_talk(launcher: str, n: int) -> None:
    ended = launch(LAUNCHERS[launcher](), n, program("talk"))
    assert ended.returncode == 0, ended.stderr
    places = ast.literal_eval(ended.stdout.partition("places ")[2])
    assert [place[:2] for place in places] == [(rank, n) for rank in range(n)]
    assert sorted(place[2] for place in places) == list(range(n))  # Open MPI need not number them as it ranks them
    assert len({place[3] for place in places}) == 1


def test_the_local_rank_is_counted_where_no_launcher_tells() -> None:
    code = (
        "import os; del os.environ['OMPI_COMM_WORLD_RANK'], os.environ['OMPI_COMM_WORLD_LOCAL_RANK']\n"
        "from tokenclock.parallel import connect\nworld = connect()\n"
        "print(world.rank, world.size, world.local_rank, flush=True)\nworld.barrier()"
    )
    ended = launch(LAUNCHERS["pypi"](), 2, ["-c", code])
    assert ended.returncode == 0, ended.stderr
    assert sorted(ended.stdout.splitlines()) == ["0 2 0", "1 2 1"]
