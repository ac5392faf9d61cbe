"""GPU telemetry as genai-perf shows it: tables by group on the console, and blocks at the end of the CSV."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

from tokenclock.report.genai_perf_rows import fixed

__all__ = ["csv_rows", "render"]

_GROUPS = {
    "GPU Power Metrics": ("gpu_power_usage", "gpu_power_limit", "energy_consumption"),
    "GPU Memory Metrics": ("total_gpu_memory", "gpu_memory_used", "gpu_memory_free"),
    "GPU Utilization Metrics": (
        *("gpu_utilization", "sm_utilization", "memory_copy_utilization"),
        *("video_encoder_utilization", "video_decoder_utilization"),
    ),
    "GPU Temperature and Clock Metrics": (
        *("gpu_temperature", "gpu_memory_temperature", "gpu_clock_sm", "gpu_clock_memory"),
    ),
}
_CONSOLE = ("avg", "min", "max", "p99", "p90", "p75")
_CSV = ("avg", "min", "max", "p99", "p95", "p90", "p75", "p50", "p25", "p10", "p5", "p1")

Telemetry = Mapping[str, Mapping[str, Any]]


def title(name: str, unit: str) -> str:
    """``gpu_power_usage`` -> ``GPU Power Usage (W)``."""
    words = " ".join(word.upper() if word in ("gpu", "sm") else word.capitalize() for word in name.split("_"))
    return f"{words} ({unit})"


def _gpus(metric: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, values) for name, values in metric.items() if name != "unit")


def csv_rows(telemetry: Telemetry) -> Iterator[list[str]]:
    """Two blocks: quantities with statistics, and those with one value; each begins with an empty row."""
    for single, header in ((False, _CSV), (True, ("Value",))):
        rows = [
            [title(name, metric["unit"]), gpu, *(fixed(values["avg" if single else key]) for key in header)]
            for name, metric in telemetry.items()
            for gpu, values in _gpus(metric)
            if (len(values) == 1) is single
        ]
        if rows:
            yield from ([], ["Metric", "GPU", *header], *rows)


def render(telemetry: Telemetry, *, ascii_only: bool = False) -> str:
    """The tables as text, ending in a newline; a group without any quantity has none."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    text = io.StringIO()
    console = Console(file=text, width=140, color_system=None, force_terminal=False, legacy_windows=False)
    for heading, names in _GROUPS.items():
        if not any(name in telemetry for name in names):
            continue
        table = Table(title=heading, box=box.ASCII if ascii_only else box.HEAVY_HEAD)
        table.add_column("Statistic", justify="right", max_width=36)
        for column in ("GPU", *_CONSOLE):
            table.add_column(column, justify="right")
        for name in names:
            for gpu, values in _gpus(telemetry.get(name, {})):
                cells = (fixed(values.get(key)) for key in _CONSOLE)
                table.add_row(title(name, telemetry[name]["unit"]), gpu, *cells)
        console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
