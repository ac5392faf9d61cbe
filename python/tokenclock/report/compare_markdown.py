"""A comparison as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenclock.report.compare_table import legend
from tokenclock.report.compare_words import change, heading_of, interval, metric_name, shown, visible

__all__ = ["render"]

_MARKS = {"better": "**better**", "worse": "**worse**"}


def render(comparison: Mapping[str, Any]) -> str:
    """A table a point; `|` in names is escaped."""
    lines: list[str] = []
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


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_safe(cell) for cell in cells) + " |"


def _safe(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
