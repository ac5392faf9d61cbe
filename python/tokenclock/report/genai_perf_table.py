"""The console table of genai-perf: same title, columns, rows and decimals."""

from __future__ import annotations

import io

from tokenclock.report.genai_perf_rows import NOT_MEASURED, fixed, request_rows, run_rows
from tokenclock.result import Result

__all__ = ["render"]

_COLUMNS = ("avg", "min", "max", "p99", "p90", "p75")
_KINDS = {"embeddings": "Embeddings", "rerank": "Rankings"}
_LABEL_WIDTH, _WIDTH = 36, 140


def render(result: Result, *, ascii_only: bool = False) -> str:
    """The table as text, ending in a newline.

    Args:
        result: of a run of `profile`.
        ascii_only: draw the box of characters that every terminal has.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    metrics = result.faces["profile"]["metrics"]
    kind = _KINDS.get(result.plan.get("endpoint", {}).get("backend"), "LLM")
    table = Table(title=f"NVIDIA GenAI-Perf | {kind} Metrics", box=box.ASCII if ascii_only else box.HEAVY_HEAD)
    table.add_column("Statistic", justify="right", max_width=_LABEL_WIDTH)
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for label, values in request_rows(metrics):
        table.add_row(label, *(fixed(values[name]) for name in _COLUMNS))
    for label, values in run_rows(metrics):
        table.add_row(label, fixed(values["avg"]), *[NOT_MEASURED] * (len(_COLUMNS) - 1))
    text = io.StringIO()
    Console(file=text, width=_WIDTH, color_system=None, force_terminal=False, legacy_windows=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
