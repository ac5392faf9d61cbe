"""Result rows of performance tests as CSV, with the lines of the file that each row stands on."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenclock.errors import UsageError

__all__ = ["COLUMNS", "CsvRow", "CsvTable", "lines_of", "read_csv"]

COLUMNS = ("perf_case_name", "metric_type", "perf_metric", "threshold", "absolute_threshold")
"""Without these there is nothing to compare."""

_BYTE_ORDER_MARK = "\ufeff"
_NOT_MEASURED = ("invalid", "failed", "skipped")


@dataclass(frozen=True)
class CsvRow:
    """One metric of one case.

    Args:
        cells: column -> text, as in the file.
        first, last: its lines, counted from 1; more than one where a quoted cell has line breaks.
        value: of ``perf_metric``; None where nothing valid was measured.
        relative, absolute: of ``threshold`` and ``absolute_threshold``, signs and all; None where empty.
    """

    cells: Mapping[str, str]
    first: int
    last: int
    value: float | None
    relative: float | None
    absolute: float | None

    @property
    def key(self) -> tuple[str, str]:
        """What rows of two files are joined on: the case's name; of AutoDeploy its device subtype too."""
        network = self.cells.get("network_name", "")
        subtype = self.cells.get("device_subtype", "") if "_autodeploy" in f"{network}{self.name}" else ""
        return self.name, subtype

    @property
    def name(self) -> str:
        """The full name of the metric and case."""
        return self.cells["perf_case_name"]

    @property
    def state(self) -> str:
        """``valid`` where the file does not say."""
        return self.cells.get("state", "").strip().lower() or "valid"


@dataclass(frozen=True)
class CsvTable:
    """A file of such rows.

    Args:
        path: as it was given.
        lines: all of it, line ends kept.
        columns: in order.
        rows: the last one of each key, in order of the file.
        repeated: a row with the key of an earlier one; None where there is none.
    """

    path: str
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Mapping[tuple[str, str], CsvRow]
    repeated: CsvRow | None

    @property
    def line_end(self) -> str:
        """Of its first line."""
        return "\r\n" if self.lines[0].endswith("\r\n") else "\n"


def read_csv(path: str) -> CsvTable:
    """Read a file whole.

    Raises:
        UsageError: it cannot be read, is no UTF-8 or no CSV, lacks a column, or a row has a wrong number of cells or a
            cell that is no number where one belongs.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}; give a CSV file of results") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} must be UTF-8 text, got other bytes at offset {error.start}") from error
    lines = lines_of(text)
    records = _records(path, [line.removeprefix(_BYTE_ORDER_MARK) for line in lines])
    head = next(records, None)
    if head is None:
        raise UsageError(f"{path} must be a CSV file with the columns {', '.join(COLUMNS)}, got an empty file")
    columns = tuple(cell.strip() for cell in head[2])
    lacking = [name for name in COLUMNS if name not in columns]
    if lacking:
        raise UsageError(f"{path}: its first line must name the columns {', '.join(COLUMNS)}; {lacking[0]} is not one")
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise UsageError(f"{path}: its first line names the column {twice or 'without a name'} twice")
    rows: dict[tuple[str, str], CsvRow] = {}
    repeated = None
    for first, last, cells in records:
        row = _row(path, columns, first, last, cells)
        if rows.pop(row.key, None) is not None:
            repeated = row
        rows[row.key] = row
    return CsvTable(path, tuple(lines), columns, rows, repeated)


def lines_of(text: str) -> list[str]:
    """With their ends; only a line feed ends one, as for `diff` and `patch`."""
    parts = text.split("\n")
    return [*(f"{part}\n" for part in parts[:-1]), *([parts[-1]] if parts[-1] else [])]


def _records(path: str, lines: list[str]) -> Iterator[tuple[int, int, list[str]]]:
    """First line, last line and cells of each record; empty lines are passed over."""
    reader = csv.reader(iter(lines), strict=True)
    before = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UsageError(f"{path}, line {reader.line_num}: must be CSV ({error})") from error
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield before + 1, reader.line_num, cells
        before = reader.line_num


def _row(path: str, columns: tuple[str, ...], first: int, last: int, texts: list[str]) -> CsvRow:
    place = f"{path}, line {first}"
    if len(texts) != len(columns):
        raise UsageError(f"{place}: must have {len(columns)} cells as the first line has, got {len(texts)}")
    cells = dict(zip(columns, texts, strict=True))
    if not cells["perf_case_name"].strip():
        raise UsageError(f"{place}: perf_case_name must name the case, got nothing")
    measured = cells.get("state", "").strip().lower() not in _NOT_MEASURED
    value = _number(place, cells, "perf_metric")
    return CsvRow(
        cells, first, last, value if measured else None, _number(place, cells, "threshold"),
        _number(place, cells, "absolute_threshold"),
    )  # fmt: skip


def _number(place: str, cells: Mapping[str, str], column: str) -> float | None:
    text = cells[column].strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{place}: {column} must be a number, got {text[:40]!r}")
    return value
