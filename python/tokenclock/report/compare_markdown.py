"""A comparison as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenclock.report.compare_table import legend
from tokenclock.report.compare_words import (
    change,
    gate_lines,
    gate_verdict,
    heading_of,
    interval,
    metric_name,
    shown,
    visible,
)

__all__ = ["render"]

_MARKS = {"better": "**better**", "worse": "**worse**"}


def render(comparison: Mapping[str, Any]) -> str:
    """What the gate says, where there is one, and a table a point; `|` in names is escaped."""
    lines = _gate(comparison)
    for point in comparison["points"]:
        lines += [f"### {_safe(heading_of(point, comparison['baseline']))}", ""]
        lines += [f"> not the same work (`--force`): {_safe(text)}\n" for text in point["differences"]]
        head = ("metric", comparison["baseline"], point["other"], "change", "95 % interval", "verdict", "visible from")
        lines += [_line(head), "|:--|--:|--:|--:|--:|:--|--:|"]
        for row in point["rows"]:
            metric = row["metric"]
            cells = (metric_name(metric), shown(metric, row["base"]), shown(metric, row["other"]), change(row["ratio"]))
            verdict = _MARKS.get(row["verdict"], row["verdict"])
            lines.append(_line((*cells, interval(row), verdict, visible(row))))
        lines.append("")
    return "\n".join([*lines, *(f"- {_safe(line)}" for line in legend(comparison)), ""])


def _gate(comparison: Mapping[str, Any]) -> list[str]:
    verdict = gate_verdict(comparison)
    return (
        [f"**{_safe(verdict)}**", "", *(f"- {_safe(line)}" for line in gate_lines(comparison)), ""] if verdict else []
    )


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_safe(cell) for cell in cells) + " |"


def _safe(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
