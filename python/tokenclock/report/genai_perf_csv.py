"""The CSV of genai-perf: statistics per request, a blank line, values of the run."""

from __future__ import annotations

import csv
import io
import os

from tokenclock.atomic_file import atomic_write
from tokenclock.report.genai_perf_rows import fixed, request_rows, run_rows
from tokenclock.report.genai_perf_telemetry import csv_rows
from tokenclock.result import Result

__all__ = ["content", "write"]

_COLUMNS = ("avg", "min", "max", "p99", "p95", "p90", "p75", "p50", "p25", "p10", "p5", "p1")


def content(result: Result) -> str:
    """The file's text."""
    metrics, text = result.faces["profile"]["metrics"], io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["Metric", *_COLUMNS])
    for label, values in request_rows(metrics):
        lines.writerow([label, *(fixed(values[name]) for name in _COLUMNS)])
    lines.writerow([])
    lines.writerow(["Metric", "Value"])
    for label, values in run_rows(metrics):
        lines.writerow([label, fixed(values["avg"])])
    lines.writerows(csv_rows(result.faces["profile"].get("telemetry") or {}))
    return text.getvalue()


def write(result: Result, path: str | os.PathLike[str]) -> None:
    """Write the file whole or not at all. Raises OSError where it cannot be written."""
    with atomic_write(path) as file:
        file.write(content(result).encode())
