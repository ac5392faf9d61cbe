"""``benchmark_summary.txt``: every metric by load, the speed-up, and how each side scales from its lowest load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenclock.report import compare_table
from tokenclock.report.compare_words import brief, gate_lines, gate_verdict, metric_name, shown
from tokenclock.report.format import counted

__all__ = ["render"]

_WIDTH = 100


def render(comparison: Mapping[str, Any]) -> str:
    """The whole file."""
    lines = ["=" * _WIDTH, "BENCHMARK COMPARISON SUMMARY", "=" * _WIDTH, ""]
    for side in comparison["sides"]:
        base = " (baseline)" if side["name"] == comparison["baseline"] else ""
        quality = f"; quality: {', '.join(side['verdicts'])}" if side["verdicts"] else ""
        models = f"; model: {', '.join(side['models'])}" if side["models"] else ""
        lines.append(
            f"{side['name']}{base}: {counted(side['n_runs'], 'run')} of {' and '.join(side['tools'])}{models}{quality}"
        )
    if verdict := gate_verdict(comparison):
        lines += ["", verdict, *(f"  {line}" for line in gate_lines(comparison))]
    metrics = list(dict.fromkeys(m for curve in comparison["curves"].values() for at in curve for m in at["values"]))
    for title, block in (
        ("METRICS BY LOAD", [_by_load(comparison, metric) for metric in metrics]),
        (f"SPEED-UP OVER {comparison['baseline']} (above 1.00x is better)", [_speed_up(comparison)]),
        ("SCALING AGAINST THE LOWEST LOAD", [_scaling(comparison, metric) for metric in metrics]),
    ):
        lines += ["", "-" * _WIDTH, title, "-" * _WIDTH]
        for part in block:
            lines += [*part, ""] if part else []
    lines += ["-" * _WIDTH, "VERDICTS", "-" * _WIDTH, compare_table.render(comparison)]
    return "\n".join(lines)


def _loads(comparison: Mapping[str, Any]) -> list[str]:
    """Names of all loads, those of the side with most of them first."""
    curves = sorted(comparison["curves"].values(), key=len, reverse=True)
    return list(dict.fromkeys(_name(at, curve) for curve in curves for at in curve))


def _name(at: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> str:
    """The load, with the lengths where a curve has the load more than once."""
    text = str(at["load"]["text"])
    several = sum(other["load"]["text"] == text for other in curve) > 1
    return f"{text}, {at['isl']:.0f}/{at['osl']:.0f}" if several and at["isl"] and at["osl"] else text


def _by_load(comparison: Mapping[str, Any], metric: str) -> list[str]:
    names = list(comparison["curves"])
    table = [("load", *map(brief, names))]
    for load in _loads(comparison):
        found = [_value(comparison["curves"][name], load, metric) for name in names]
        table.append((load, *(shown(metric, value) for value in found)))
    return [metric_name(metric), *(f"  {line}" for line in compare_table.columns(table, (0,)))]


def _value(curve: Sequence[Mapping[str, Any]], load: str, metric: str) -> float | None:
    found = next((at["values"].get(metric) for at in curve if _name(at, curve) == load), None)
    return None if found is None else found["value"]


def _speed_up(comparison: Mapping[str, Any]) -> list[str]:
    lines = []
    points = comparison["points"]
    for other in dict.fromkeys(point["other"] for point in points):
        mine = [point for point in points if point["other"] == other]
        metrics = list(dict.fromkeys(row["metric"] for point in mine for row in point["rows"]))
        table = [(brief(other), *(_name(point, mine) for point in mine))]
        for metric in metrics:
            cells = []
            for point in mine:
                row = next((row for row in point["rows"] if row["metric"] == metric), None)
                cells.append("n/a" if row is None else f"{row['speed_up']:.2f}x {_MARKS[row['verdict']]}")
            table.append((metric_name(metric), *cells))
        lines += [f"  {line}" for line in compare_table.columns(table, (0,))]
    return [*lines, "  + better, - worse, = no difference shown, ? not enough data"]


_MARKS = {"better": "+", "worse": "-", "no difference shown": "=", "not enough data": "?"}


def _scaling(comparison: Mapping[str, Any], metric: str) -> list[str]:
    names, loads = list(comparison["curves"]), _loads(comparison)
    if len(loads) < 2:
        return []
    table = [("load", *map(brief, names))]
    for load in loads:
        cells = []
        for name in names:
            curve = comparison["curves"][name]
            lowest = next((at["values"][metric]["value"] for at in curve if metric in at["values"]), None)
            value = _value(curve, load, metric)
            cells.append("n/a" if value is None or lowest is None else f"{value / lowest:.2f}x")
        table.append((load, *cells))
    return [metric_name(metric).partition(" (")[0], *(f"  {line}" for line in compare_table.columns(table, (0,)))]
