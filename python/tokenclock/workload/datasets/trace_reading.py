"""Reads a trace of any known format, told from the file's first line where it is not named."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown
from tokenclock.workload.datasets.reading import fault, open_dataset, read_objects
from tokenclock.workload.datasets.trace import Trace
from tokenclock.workload.datasets.trace_csv import AZURE_COLUMNS, BURSTGPT_COLUMNS, read_csv_trace
from tokenclock.workload.datasets.trace_lines import read_lines_trace

__all__ = ["TRACE_FORMATS", "read_trace"]

TRACE_FORMATS = ("auto", "mooncake", "burstgpt", "azure", "jsonl")
_HEAD = 4096  # characters of the first line that tell the format


def read_trace(path: str, form: str = "auto", *, flag: str = "--dataset-path") -> Trace:
    """Every usable row, those with time stamps in their order; a file out of order is sorted, and says so.

    Raises UsageError, in the words of `flag`, where the file is missing, and with its line where a row is wrong.
    """
    if form not in TRACE_FORMATS:
        raise UsageError(f"--trace-format must be one of {', '.join(TRACE_FORMATS)}, got {shown(form)}")
    try:
        return _in_order(_read(path, _format_of(path) if form == "auto" else form))
    except UsageError as error:
        if flag == "--dataset-path":
            raise
        raise UsageError(str(error).replace("--dataset-path", flag)) from error


def _read(path: str, form: str) -> Trace:
    if form in ("burstgpt", "azure"):
        with open_dataset(path, "trace") as file:
            trace = read_csv_trace(path, file, form)
    else:
        trace = read_lines_trace(path, read_objects(path, "trace"), form)
    if len(trace) == 0:
        raise UsageError(f"{path} holds no usable row; expected rows with input and output tokens above 0")
    return trace


def _format_of(path: str) -> str:
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise UsageError(f"--trace-format must be named for a pipe, which can be read once only, got auto for {path}")
    with open_dataset(path, "trace") as file:
        head = file.readline(_HEAD)
        while head and not head.strip():
            head = file.readline(_HEAD)
    if not head:
        raise UsageError(f"{path} is empty; expected a trace: JSON lines, or CSV with a header")
    if head.lstrip()[0] in "{[":
        return "jsonl"
    for form, columns in (("burstgpt", BURSTGPT_COLUMNS), ("azure", AZURE_COLUMNS)):
        if columns[1] in head:
            return form
    expected = f"JSON lines, or CSV with the columns {', '.join(BURSTGPT_COLUMNS)} or {', '.join(AZURE_COLUMNS)}"
    raise fault(path, 1, f"expected a trace: {expected}; got {shown(head.strip())}")


def _in_order(trace: Trace) -> Trace:
    """Rows by their time stamps, ties and rows of one session in the order of the file."""
    if not trace.has_times:
        return trace
    times = trace.t_ms
    if trace.session is not None or np.all(np.diff(times) >= 0):  # later turns follow their first one wherever it goes
        return trace
    note = f"{trace.path}: rows are not in the order of their time stamps: they are sent in that order"
    ordered = trace.take(np.argsort(times, kind="stable"))
    return replace(ordered, notes=(*ordered.notes, note))
