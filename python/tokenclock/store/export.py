"""The history as a table for other programs: CSV, Parquet or Arrow; a row a run, a column for each metric."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from tokenclock.atomic_file import atomic_write
from tokenclock.store.database import Database
from tokenclock.store.filter import COLUMNS, Filter
from tokenclock.store.record import RunRow
from tokenclock.store.words import column_name

__all__ = ["FORMATS", "write", "write_csv"]

FORMATS = ("csv", "parquet", "arrow")
_AT_ONCE = 5_000
_FACTS = ("id", "hash", "created", *COLUMNS, "source")


class _Columns:
    """Which columns there are, and a run's row in their order."""

    def __init__(self, database: Database, runs: Sequence[RunRow], where: Filter, intervals: bool) -> None:
        self._database, self._runs, self._intervals = database, runs, intervals
        self.tags = sorted({name for run in runs for name in run.tags})
        self.metrics = [(name, database.unit(name) or "") for name in database.metric_names(where)]
        self.names = [*_FACTS, *(f"tag.{name}" for name in self.tags)]
        for name, unit in self.metrics:
            column = column_name(name, unit)
            self.names += [column, f"{column}.low", f"{column}.high"] if intervals else [column]

    def batches(self) -> Iterator[list[list[Any]]]:
        """All rows, some thousands at a time."""
        for start in range(0, len(self._runs), _AT_ONCE):
            part = self._runs[start : start + _AT_ONCE]
            numbers = self._database.metrics_of([run.id for run in part])
            yield [self._row(run, numbers.get(run.id, {})) for run in part]

    def _row(self, run: RunRow, numbers: Any) -> list[Any]:
        row: list[Any] = [getattr(run, name) for name in _FACTS]
        row += [run.tags.get(name) for name in self.tags]
        for name, _ in self.metrics:
            of = numbers.get(name)
            row.append(None if of is None else of.value)
            if self._intervals:
                row += [None, None] if of is None else [of.low, of.high]
        return row


def write(
    database: Database, path: str | os.PathLike[str], form: str, where: Filter, *, intervals: bool = False
) -> int:
    """Write the file, whole or not at all; how many runs it has.

    Args:
        database: the history.
        path: the file.
        form: one of ``FORMATS``; ``arrow`` is the IPC file format (Feather 2).
        where: which runs; the oldest is the first row.
        intervals: two more columns for each metric, ``.low`` and ``.high``.

    Raises:
        ImportError: no pyarrow, for the last two.
        OSError: it cannot be written.
    """
    if form == "csv":
        with atomic_write(path) as file:
            return write_csv(database, file, where, intervals=intervals)
    return _write_arrow(database, path, form, where, intervals)


def write_csv(database: Database, file: BinaryIO, where: Filter, *, intervals: bool = False) -> int:
    """Write CSV (UTF-8, RFC 4180, what is not known is empty) into an open file; how many runs it has."""
    runs = database.runs(where)[::-1]
    columns = _Columns(database, runs, where, intervals)
    _write_rows(file, [columns.names])
    for rows in columns.batches():
        _write_rows(file, rows)
    return len(runs)


def _write_rows(file: BinaryIO, rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([value.isoformat() if hasattr(value, "isoformat") else value for value in row])
    file.write(text.getvalue().encode("utf-8", "replace"))


def _write_arrow(database: Database, path: str | os.PathLike[str], form: str, where: Filter, intervals: bool) -> int:
    import pyarrow
    import pyarrow.parquet

    runs = database.runs(where)[::-1]
    columns = _Columns(database, runs, where, intervals)
    types = {"text": pyarrow.string(), "whole": pyarrow.int64(), "number": pyarrow.float64(), "switch": pyarrow.bool_()}
    special = {"id": pyarrow.int64(), "created": pyarrow.timestamp("us", tz="UTC")}
    n_text = len(_FACTS) + len(columns.tags)
    fields = [
        (name, special.get(name) or (types[COLUMNS.get(name, "text")] if i < n_text else pyarrow.float64()))
        for i, name in enumerate(columns.names)
    ]
    schema = pyarrow.schema(fields)
    with atomic_write(path) as file:
        make = pyarrow.parquet.ParquetWriter if form == "parquet" else pyarrow.ipc.new_file
        with make(file, schema) as writer:
            for rows in columns.batches():
                arrays = [
                    pyarrow.array(list(values), type_)
                    for values, (_, type_) in zip(zip(*rows, strict=True), fields, strict=True)
                ]
                batch = pyarrow.record_batch(arrays, schema=schema)
                writer.write_batch(batch)
    return len(runs)
