"""``<stem>.columns.npz`` of an offline run: every iteration of every rank, from which each number can be had again."""

from __future__ import annotations

import os
import zipfile

import numpy as np

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.iteration_records import IterationRecords, iterations_from_arrays, iterations_to_arrays

__all__ = ["read", "write"]


def write(records: IterationRecords, path: str | os.PathLike[str]) -> None:
    """Write the columns whole or not at all. Raises OSError."""
    with atomic_write(path) as file:
        np.savez(file, **iterations_to_arrays(records))  # type: ignore[arg-type]


def read(path: str | os.PathLike[str]) -> IterationRecords:
    """Read a columns file.

    Raises:
        UsageError: not a columns file of an offline run.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return iterations_from_arrays(dict(arrays))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{path} is no columns file of benchmark: expected the .columns.npz beside its JSON ({error})"
        ) from error
