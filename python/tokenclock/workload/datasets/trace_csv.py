"""Traces in CSV: BurstGPT's, and those of Azure's LLM inference services."""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TextIO

import numpy as np

from tokenclock.workload.datasets.reading import bounded_lines, fault
from tokenclock.workload.datasets.trace import Trace

__all__ = ["AZURE_COLUMNS", "BURSTGPT_COLUMNS", "read_csv_trace"]

BURSTGPT_COLUMNS = ("Timestamp", "Request tokens", "Response tokens")
AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_COLUMNS = {"burstgpt": BURSTGPT_COLUMNS, "azure": AZURE_COLUMNS}
_LONGEST = 10_000_000  # tokens; more is a slip
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?")


def read_csv_trace(path: str, file: TextIO, form: str) -> Trace:
    """Rows with both lengths above 0; times count from the first of them. Raises UsageError with the line."""
    rows = csv.reader(bounded_lines(path, file), strict=True)
    isl, osl, t_ms, n_unused = array("q"), array("q"), array("d"), 0
    try:
        header = [name.strip() for name in next(rows, [])]
        wanted = _COLUMNS[form]
        missing = [name for name in wanted if name not in header]
        if missing:
            raise fault(path, 1, f"expected the column {missing[0]}, got {', '.join(header)[:80] or 'none'}")
        at_time, at_isl, at_osl = map(header.index, wanted)
        read_time: Callable[[str, int, str], float] = _seconds if form == "burstgpt" else _instant
        for row in rows:
            if not row:
                continue
            line = rows.line_num
            if len(row) != len(header):
                raise fault(path, line, f"expected {len(header)} values, got {len(row)}")
            n_in, n_out = (_tokens(path, line, header[at], row[at]) for at in (at_isl, at_osl))
            when = read_time(path, line, row[at_time])
            if n_in == 0 or n_out == 0:  # a request that failed
                n_unused += 1
                continue
            isl.append(n_in)
            osl.append(n_out)
            t_ms.append(when)
    except csv.Error as error:
        raise fault(path, rows.line_num, f"not CSV: {error}") from error
    notes = (f"{path}: {n_unused} rows without tokens are left out",) if n_unused else ()
    times = np.array(t_ms, dtype=np.float64)
    if form == "azure" and len(times):
        times -= times.min()
    return Trace(path, form, np.array(isl, dtype=np.int64), np.array(osl, dtype=np.int64), times, notes=notes)


def _tokens(path: str, line: int, column: str, text: str) -> int:
    try:
        value = float(text)
        if not value.is_integer() or not 0 <= value <= _LONGEST:
            raise ValueError(text)
    except (ValueError, OverflowError) as error:
        raise fault(path, line, f"{column} must be a whole number from 0 to {_LONGEST}, got {text[:40]!r}") from error
    return int(value)


def _seconds(path: str, line: int, text: str) -> float:
    try:
        value = float(text)
        if not 0 <= value < math.inf:
            raise ValueError(text)
    except ValueError as error:
        raise fault(path, line, f"Timestamp must be seconds >= 0, got {text[:40]!r}") from error
    return value * 1e3


def _instant(path: str, line: int, text: str) -> float:
    """ms since 1970; the fraction may have any number of digits."""
    found = _INSTANT.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        whole, fraction, zone = found.groups()
        moment = datetime.fromisoformat(whole.replace(" ", "T"))
        offset = "+00:00" if zone in (None, "Z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
        moment = datetime.fromisoformat(f"{moment.isoformat()}{offset}").astimezone(timezone.utc)
    except ValueError as error:
        expected = "TIMESTAMP must be like 2023-11-16 18:17:03.9799600"
        raise fault(path, line, f"{expected}, got {text[:40]!r}") from error
    return moment.timestamp() * 1e3 + float(fraction or 0) * 1e3
