"""A comparison for a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tokenclock.report.compare_words import brief, change, heading_of, interval, metric_name, shown, visible

__all__ = ["columns", "legend", "render"]

_LEFT = (0, 5)  # columns of words


def render(comparison: Mapping[str, Any]) -> str:
    """All points, then what the words mean and what to know of the runs."""
    lines: list[str] = []
    for point in comparison["points"]:
        lines += [
            heading_of(point, comparison["baseline"]),
            *_warnings(point),
            *_table(comparison["baseline"], point),
            "",
        ]
    return "\n".join([*lines, *legend(comparison), ""])


def _warnings(point: Mapping[str, Any]) -> list[str]:
    return [f"  not the same work (--force): {text}" for text in point["differences"]]


def _table(baseline: str, point: Mapping[str, Any]) -> list[str]:
    head = ("metric", brief(baseline), brief(point["other"]), "change", "95 % interval", "verdict", "visible from")
    return [f"  {line}" for line in columns([head, *(_cells(row) for row in point["rows"])], _LEFT)]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    metric = row["metric"]
    return (
        metric_name(metric), shown(metric, row["base"]), shown(metric, row["other"]), change(row["ratio"]),
        interval(row), row["verdict"], visible(row),
    )  # fmt: skip


def columns(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    """Cells under each other, two blanks between; numbers to the right, words (``left``) to the left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            f"{cell:<{width}}" if i in left else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def legend(comparison: Mapping[str, Any]) -> list[str]:
    """What stands behind the verdicts, one line each."""
    rows = [row for point in comparison["points"] for row in point["rows"]]
    if not comparison["n_tested"]:
        return [*_reasons(rows), *(f"Note: {note}." for note in comparison["notes"])]
    lines = [
        f"A verdict needs p < {comparison['alpha']:g} after Holm's correction over {comparison['n_tested']} rows, and "
        f"a difference of {comparison['min_effect'] * 100:g} % or more.",
        "visible from: the smallest difference that would have been called with a chance of "
        f"{comparison['power'] * 100:g} %.",
    ]
    methods = list(dict.fromkeys(row["method"] for row in rows if row["method"]))
    if methods:
        lines.append(f"Intervals come from {'; '.join(methods)}.")
    if any("within-run" in method for method in methods):
        lines.append(
            "within-run only: another start of the server may differ by more; from 6 runs a side on, runs are counted."
        )
    return [*lines, *_reasons(rows), *(f"Note: {note}." for note in comparison["notes"])]


def _reasons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why metrics have no interval; reasons that need the same and differ in other figures are said once, with the
    first's: a median that lacks 6 samples is no P99 that lacks 368."""
    found: dict[str, tuple[str, list[str]]] = {}
    for row in rows:
        if row["reason"]:
            there_is, _, needed = row["reason"].partition(" needs ")
            _, names = found.setdefault(re.sub(r"\d+", "#", there_is) + needed, (row["reason"], []))
            names.append(metric_name(row["metric"]).partition(" (")[0])
    return [
        f"No interval for {'any row' if len(names) == len(rows) > 1 else ', '.join(dict.fromkeys(names))}: {reason}."
        for reason, names in found.values()
    ]
