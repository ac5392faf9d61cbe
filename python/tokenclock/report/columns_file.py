"""``<stem>.columns.npz``: the raw columns beside a result, from which every number can be computed again."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.records import Records, from_arrays, to_arrays

__all__ = ["MAX_EVENTS", "columns_path", "read", "write"]

MAX_EVENTS = 5_000_000
"""Beyond so many token events only the request columns are written."""


def columns_path(result_path: str | os.PathLike[str]) -> Path:
    """Where the columns of a result file lie: ``run.json`` -> ``run.columns.npz``."""
    path = Path(result_path)
    return path.with_name(f"{path.stem if path.suffix == '.json' else path.name}.columns.npz")


def write(records: Records, path: str | os.PathLike[str], *, max_events: int = MAX_EVENTS) -> bool:
    """Write the columns whole or not at all; True when the token columns are in, False when there were too many.

    Raises:
        OSError: the file cannot be written.
    """
    with_tokens = records.n_events <= max_events
    arrays = to_arrays(records, with_tokens=with_tokens)
    with atomic_write(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return with_tokens


def read(path: str | os.PathLike[str]) -> Records:
    """Read a columns file; rows without events when the token columns were left out.

    Raises:
        UsageError: not a columns file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return from_arrays(dict(arrays))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is no columns file: expected the .columns.npz beside a result ({error})") from error
