"""What the environment says of a launch by mpirun or srun. Reads variables, starts nothing, imports no MPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Launch", "detect"]


@dataclass(frozen=True)
class Launch:
    """One rank of a launch.

    Args:
        launcher: whose variables told, for messages: ``OpenMPI``, ``MPICH``, ``Slurm`` ...
        rank: of this process among all, from 0.
        size: number of ranks; None where the launcher does not say.
        local_rank: place among the ranks of this host; None where the launcher does not say.
    """

    launcher: str
    rank: int
    size: int | None
    local_rank: int | None


# launcher, and the variables that hold rank, size and local rank; the first whose rank is there counts, because a
# launcher may itself have been started by the ones further down
_LAUNCHERS: tuple[tuple[str, str, str | None, str | None], ...] = (
    ("OpenMPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("MVAPICH", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK"),
    ("MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    ("Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ("PMIx", "PMIX_RANK", None, None),
)


def detect(environment: Mapping[str, str]) -> Launch | None:
    """The launch that `environment` announces; None where it announces none.

    A batch script (`sbatch`) has Slurm's variables of the job but none of a step: that is no launch.
    """
    for launcher, rank_name, size_name, local_name in _LAUNCHERS:
        rank = _number(environment, rank_name)
        size = _number(environment, size_name)
        if rank is None or (size_name is not None and size is None):
            continue
        local = _number(environment, local_name)
        return Launch(launcher, rank, size, _of_slurm(environment, rank, size) if local is None else local)
    return None


def _of_slurm(environment: Mapping[str, str], rank: int, size: int | None) -> int | None:
    """Slurm's local rank where its step is this very launch (`srun --mpi=pmi2`), not one that started the launcher."""
    same_rank = _number(environment, "SLURM_PROCID") == rank
    n_tasks = _number(environment, "SLURM_STEP_NUM_TASKS")
    if same_rank and n_tasks is not None and size in (None, n_tasks):
        return _number(environment, "SLURM_LOCALID")
    return None


def _number(environment: Mapping[str, str], name: str | None) -> int | None:
    text = environment.get(name, "") if name is not None else ""
    return int(text) if text.isdecimal() else None
