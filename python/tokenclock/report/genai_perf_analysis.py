"""The summary of a sweep as genai-perf's `analyze` writes it: a row per point, then a row per point and GPU."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.report.genai_perf_rows import fixed
from tokenclock.result import Result

__all__ = ["content", "render", "write"]

_GPU_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("p99 GPU Power Usage (W)", "gpu_power_usage", "p99"),
    ("p99 Energy Consumption (MJ)", "energy_consumption", "p99"),
    ("p99 GPU Utilization (%)", "gpu_utilization", "p99"),
    ("p99 GPU Memory Used (GB)", "gpu_memory_used", "p99"),
    ("Avg. GPU Power Limit (W)", "gpu_power_limit", "avg"),
    ("Avg. Total GPU Memory (GB)", "total_gpu_memory", "avg"),
)
Points = Sequence[tuple[str, Result]]  # value of the sweep, result

_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("p99 Time To First Token (ms)", "time_to_first_token", "p99"),
    ("p99 Inter Token Latency (ms)", "inter_token_latency", "p99"),
    ("p99 Request Latency (ms)", "request_latency", "p99"),
    ("p99 Output Sequence Length (tokens)", "output_sequence_length", "p99"),
    ("Avg. Output Token Throughput (tokens/sec)", "output_token_throughput", "avg"),
    ("Request Throughput (requests/sec)", "request_throughput", "avg"),
)


def rows(points: Points) -> list[list[str]]:
    """Header and one row per point, in the order of the sweep."""
    by_rate = any(result.plan["asked"].get("request_rate") is not None for _, result in points)
    stimulus = "Request Rate" if by_rate else "Concurrency"
    batches = [result.plan["asked"].get("batch_size") for _, result in points]
    titles = ["Batch Size"] if len(set(batches)) > 1 else []  # the original's rows do not tell
    table = [["Config Name", stimulus, "ISL", "Num Dataset Entries", *titles, *(title for title, _, _ in _COLUMNS)]]
    for number, (_, result) in enumerate(points):
        asked, metrics = result.plan["asked"], result.faces["profile"]["metrics"]
        load = asked.get("request_rate") if by_rate else asked.get("concurrency")
        isl, entries = asked.get("synthetic_input_tokens_mean"), asked.get("num_dataset_entries")
        values = [fixed(_statistic(metrics, tag, name)) for _, tag, name in _COLUMNS]
        told = (load, isl, entries, *(batches[number : number + 1] if titles else ()))
        table.append([_name(result, number), *map(_plain, told), *values])
    return table


def gpu_rows(points: Points) -> list[list[str]]:
    """Header and one row per point and GPU; empty where no point has telemetry."""
    table = []
    for number, (_, result) in enumerate(points):
        telemetry = result.faces["profile"].get("telemetry") or {}
        for gpu in sorted({gpu for metric in telemetry.values() for gpu in metric if gpu != "unit"}):
            values = [fixed(telemetry.get(tag, {}).get(gpu, {}).get(name)) for _, tag, name in _GPU_COLUMNS]
            table.append([_name(result, number), gpu, *values])
    return [["Config Name", "GPU", *(title for title, _, _ in _GPU_COLUMNS)], *table] if table else []


def content(points: Points) -> str:
    """The CSV's text."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerows(rows(points))
    of_gpus = gpu_rows(points)
    if of_gpus:
        lines.writerows([[], *of_gpus])
    return text.getvalue()


def write(text: str, path: str | os.PathLike[str]) -> None:
    """Write the file whole or not at all. Raises OSError where it cannot be written."""
    with atomic_write(path) as file:
        file.write(text.encode())


def render(points: Points) -> str:
    """The table as text, with a column for each point's verdict, ending in a newline."""
    table = rows(points)
    table[0].append("Measurement")
    for row, (_, result) in zip(table[1:], points, strict=True):
        row.append(result.quality.verdict)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for first, *others in table:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _name(result: Result, number: int) -> str:
    return f"{result.plan['asked']['model'][0]}_run_config_{number}"


def _statistic(metrics: Mapping[str, Any], tag: str, name: str) -> float | None:
    value: float | None = metrics[tag][name] if tag in metrics else None
    return value


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
