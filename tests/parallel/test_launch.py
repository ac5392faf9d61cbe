"""What the environment says of a launch."""

from __future__ import annotations

import pytest

from tokenclock.parallel.launch import Launch, detect

OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
SRUN = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1"}
BATCH = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("environment", "launch"),
    [
        ({}, None),
        (OPEN_MPI, Launch("OpenMPI", 3, 8, 1)),
        ({"PMI_RANK": "3", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1"}, Launch("MPICH", 3, 8, 1)),
        ({"PMI_RANK": "3", "PMI_SIZE": "8"}, Launch("MPICH", 3, 8, None)),
        (SRUN, Launch("Slurm", 3, 8, 1)),
        (SRUN | {"PMIX_RANK": "3"}, Launch("Slurm", 3, 8, 1)),
        (SRUN | {"PMI_RANK": "3", "PMI_SIZE": "8"}, Launch("MPICH", 3, 8, 1)),
        ({"PMIX_RANK": "3"}, Launch("PMIx", 3, None, None)),
        ({"TLLM_DISABLE_MPI": "1"}, None),
    ],
)
def test_each_launcher(environment: dict[str, str], launch: Launch | None) -> None:
    assert detect(environment) == launch


def test_a_batch_script_is_no_launch() -> None:
    assert detect(BATCH) is None


def test_a_launcher_that_slurm_started_counts_its_own_ranks() -> None:
    one_per_node = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "0"}
    assert detect(one_per_node | OPEN_MPI) == Launch("OpenMPI", 3, 8, 1)
    assert detect(one_per_node | {"PMI_RANK": "1", "PMI_SIZE": "8"}) == Launch("MPICH", 1, 8, None)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5"])
def test_what_is_no_number_is_not_there(text: str) -> None:
    assert detect(OPEN_MPI | {"OMPI_COMM_WORLD_RANK": text}) is None
    assert detect(OPEN_MPI | {"OMPI_COMM_WORLD_LOCAL_RANK": text}) == Launch("OpenMPI", 3, 8, None)
