"""``<stem>.columns.npz``: the raw columns beside a result, from which every number can be computed again."""

from __future__ import annotations

import os
import zipfile
import zlib
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
        UsageError: not a columns file, or one whose columns do not fit together.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("no archive of arrays")
        with np.load(path, allow_pickle=False) as arrays:
            records = from_arrays(dict(arrays))
            _check(records)
            return records
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{path} is no columns file: expected the .columns.npz beside a result ({error})") from error


def _check(records: Records) -> None:
    """Raise ValueError where columns are of different lengths, or events of no request."""
    n = records.n_requests
    for name, column in records.columns.items():
        if column.shape != (n,) or column.dtype.kind not in "iuf":
            raise ValueError(f"column {name}: {n} numbers expected, got {column.dtype} of shape {column.shape}")
    offsets, n_events = records.token_offsets, len(records.t_token_ns)
    ends = offsets.shape == (n + 1,) and offsets.dtype.kind in "iu" and offsets[0] == 0 and offsets[-1] == n_events
    if not ends or (np.diff(offsets) < 0).any():
        raise ValueError(f"token_offsets: {n + 1} numbers rising from 0 to {n_events} expected")
    for name in ("n_tokens", "t_read_ns", "t_token_ns"):
        column = getattr(records, name)
        if column.shape != (n_events,) or column.dtype.kind not in "iu":
            raise ValueError(f"{name}: {n_events} whole numbers expected, got {column.dtype} of shape {column.shape}")
