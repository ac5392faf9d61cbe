"""Runs as Markdown: verdict and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.report.run_page import ShownRun
from tokenclock.report.run_table import PERCENTILES, case_rows, facts, findings, latency_rows, rate_rows, title_of

__all__ = ["render"]


def render(runs: Sequence[ShownRun]) -> str:
    """A section a run."""
    lines: list[str] = []
    for run in runs:
        result = run.result
        lines += [f"## {_safe(run.name)}", "", f"Measurement quality: **{result.quality.verdict}**", ""]
        lines += [f"- {_safe(line)}" for line in findings(result)]
        lines += ["", ", ".join(f"{name}: {_safe(value)}" for name, value in facts(result)), ""]
        if result.kind == "benchmark":
            head = ("case", "status", "N", "mean (ms)", "median", "P95", "P99", "tokens/s")
            lines += _table(head, [tuple(row) for row in case_rows(result)])
            continue
        percentiles = ("median" if label == "50" else f"P{label}" for label in PERCENTILES)
        rows = [(title_of(tag), *cells) for tag, cells in latency_rows(result)]
        lines += _table(("latency (ms)", "N", "mean [95 %]", *percentiles, "max"), rows)
        rates = [(DEFINITIONS[tag].title, whole, steady) for tag, whole, steady in rate_rows(result)]
        lines += _table(("per second", "whole run [95 %]", "steady window"), rates)
        lines += ["In parentheses: too few samples for that percentile.", ""] if result.quality.marks else []
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    ruler = "|".join([":--", *["--:"] * (len(head) - 1)])
    return [_line(head), f"|{ruler}|", *(_line(row) for row in rows), ""]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_safe(cell) for cell in cells) + " |"


def _safe(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
