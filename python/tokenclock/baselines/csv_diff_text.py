"""What a comparison of two CSV files found, as lines for a terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tokenclock.baselines.csv_diff import IGNORED, Difference, unit_of
from tokenclock.baselines.csv_rows import CsvRow, CsvTable
from tokenclock.report.compare_table import columns

__all__ = ["as_json", "render"]

_WORDS = (0, 1, 5, 6)  # columns of words


def render(found: Sequence[Difference], target: CsvTable, base: CsvTable, *, own: bool) -> str:
    """One line a difference, and a last one that counts them."""
    lines = []
    if found:
        head = ("", "metric", "base", "target", "change", "counts from", "case")
        lines = columns([head, *(_cells(one) for one in found)], _WORDS)
    counted = Counter(one.kind for one in found)
    kinds = ", ".join(f"{n} {kind}" for kind, n in counted.items()) or "no difference"
    whose = "ours; --thresholds file takes those of the base" if own else "those of the base"
    return "\n".join(
        [
            *lines,
            f"{target.path} ({len(target.rows)} rows) against {base.path} ({len(base.rows)}): {kinds}.",
            f"Thresholds: {whose}; a change counts where it exceeds both parts. {', '.join(IGNORED)} is not compared.",
        ]
    )


def _cells(one: Difference) -> tuple[str, ...]:
    unit = unit_of(one.row)
    said = f" {unit}" if unit else ""
    threshold = ""
    if one.threshold is not None:
        threshold = f"{one.threshold.relative * 100:g} % and {one.threshold.absolute:g}{said}"
    return (
        one.kind, one.row.cells["metric_type"], _value(one.base, said), _value(one.target, said),
        "" if one.change is None else f"{one.change * 100:+.1f} %", threshold, " ".join(one.row.name.split()),
    )  # fmt: skip


def _value(row: CsvRow | None, unit: str) -> str:
    if row is None:
        return "n/a"
    return row.state if row.value is None else f"{row.value:.6g}{unit}"


def as_json(found: Sequence[Difference], target: CsvTable, base: CsvTable, *, own: bool) -> dict[str, Any]:
    """The same with exact numbers; ``change`` is relative to the base."""
    return {
        "schema": "tokenclock.baseline_diff/1",
        "target": target.path,
        "base": base.path,
        "thresholds": "own" if own else "file",
        "ignored": list(IGNORED),
        "rows": {"target": len(target.rows), "base": len(base.rows)},
        "differences": [
            {
                "kind": one.kind,
                "perf_case_name": one.row.name,
                "metric_type": one.row.cells["metric_type"],
                "unit": unit_of(one.row) or None,
                "base": None if one.base is None else one.base.value,
                "target": None if one.target is None else one.target.value,
                "change": one.change,
                "better": None if one.threshold is None else one.threshold.better,
                "relative_threshold": None if one.threshold is None else one.threshold.relative,
                "absolute_threshold": None if one.threshold is None else one.threshold.absolute,
            }
            for one in found
        ],
    }
