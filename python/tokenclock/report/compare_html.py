"""A comparison as one HTML page. Needs plotly."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tokenclock.report import page
from tokenclock.report.colours import colour
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
from tokenclock.report.format import counted
from tokenclock.report.page import Plot, term
from tokenclock.units import NS_PER_MS

__all__ = ["write"]

_ABOUT = {
    "verdict": "better, worse: the difference is shown. no difference shown: there may be one below 'visible from'. "
    "not enough data: nothing says how sure the numbers are",
    "visible": "the smallest difference that would have been called with a chance of 80 %",
    "interval": "95 % interval of the change, before the correction for several metrics",
}


def write(comparison: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write the page, whole or not at all.

    Raises:
        ImportError: no plotly.
        OSError: it cannot be written.
    """
    names = " and ".join(escape(side["name"]) for side in comparison["sides"])
    plots = _plots(comparison["curves"])
    parts = [f"<h1>Comparison of {names}</h1>", _gate(comparison), _counts(comparison)]
    parts.append('<div class="figures">' + "".join(page.figure(plot) for plot in plots) + "</div>")
    for point in comparison["points"]:
        parts += [f"<h2>{escape(heading_of(point, comparison['baseline']))}</h2>", _table(comparison, point)]
    parts.append(
        "<h2>How to read it</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in legend(comparison)) + "</ul>"
    )
    page.write(path, f"Comparison: {', '.join(side['name'] for side in comparison['sides'])}", "\n".join(parts), plots)


def _gate(comparison: Mapping[str, Any]) -> str:
    verdict = gate_verdict(comparison)
    if not verdict:
        return ""
    kind = "worse" if comparison["gate"]["met"] else "better"
    lines = "".join(f"<li>{escape(line)}</li>" for line in gate_lines(comparison))
    return f'<p class="{kind}">{escape(verdict)}</p><ul>{lines}</ul>'


def _counts(comparison: Mapping[str, Any]) -> str:
    cards = []
    for side in comparison["sides"]:
        if side["name"] == comparison["baseline"]:
            text = "baseline"
        else:
            rows = [row for point in comparison["points"] if point["other"] == side["name"] for row in point["rows"]]
            counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("better", "worse")}
            text = f"{counts['better']} better, {counts['worse']} worse of {len(rows)}"
        models = ", ".join([*side["models"], ""])
        runs = counted(side["n_runs"], "run")
        quality = ", ".join(side["verdicts"]) or "quality not told"
        cards.append(
            f'<div class="card" style="border-left:5px solid {colour(_place(comparison, side))}">{escape(side["name"])}'
            f'<b style="font-size:1rem">{escape(text)}</b><span class="soft">{escape(models)} {runs}, '
            f"{escape(quality)}</span></div>"
        )
    return (
        f'<div class="cards" style="grid-template-columns:repeat(auto-fill,minmax(220px,1fr))">{"".join(cards)}</div>'
    )


def _place(comparison: Mapping[str, Any], side: Mapping[str, Any]) -> int:
    return list(comparison["curves"]).index(side["name"])


def _table(comparison: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    warnings = "".join(
        f'<p class="worse">Not the same work (--force): {escape(text)}</p>' for text in point["differences"]
    )
    head = ["metric", comparison["baseline"], point["other"], "change"]
    named = [*map(escape, head), *(term(text, _ABOUT[key]) for text, key in _HEADINGS)]
    rows = []
    for row in point["rows"]:
        metric = row["metric"]
        verdict = f'<span class="{escape(row["verdict"].split()[0])}">{escape(row["verdict"])}</span>'
        name = term(metric_name(metric), f"{row['title']}: {row['formula']}")
        reason = term(visible(row), row["reason"]) if row["reason"] else escape(visible(row))
        values = (shown(metric, row["base"]), shown(metric, row["other"]), change(row["ratio"]), interval(row))
        rows.append([name, *map(escape, values), verdict, reason])
    return warnings + page.table(named, rows, words=(5,), label=f"{point['other']} against {comparison['baseline']}")


_HEADINGS = (("95 % interval", "interval"), ("verdict", "verdict"), ("visible from", "visible"))


def _plots(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Plot]:
    found = []
    for tag in ("ttft", "tpot", "itl", "e2el", "latency", "output_throughput"):
        metric = tag if tag.endswith("throughput") else f"{tag}.mean"
        loads = list(dict.fromkeys(_load(at) for curve in curves.values() for at in curve if metric in at["values"]))
        traces = []
        for index, (name, curve) in enumerate(curves.items()):
            points = [at for at in curve if metric in at["values"]]
            if points:
                traces.append(_trace(name, index, metric, points, loads, 0.04 * (index - (len(curves) - 1) / 2)))
        if traces:
            title = metric_name(metric)
            found.append(
                Plot(
                    f"by-load-{tag}",
                    title,
                    "By load; bars are 95 % intervals, where there are any.",
                    traces,
                    {
                        "xaxis": {
                            "title": {"text": "load"},
                            "tickvals": list(range(len(loads))),
                            "ticktext": loads,
                            "range": [-0.4, len(loads) - 0.6],
                            "zeroline": False,
                        },
                        "yaxis": {"rangemode": "tozero"},
                    },
                )
            )
    return found


def _load(at: Mapping[str, Any]) -> str:
    return str(at["load"]["text"]).replace("concurrency", "conc.")


def _trace(
    name: str, index: int, metric: str, points: Sequence[Mapping[str, Any]], loads: Sequence[str], aside: float
) -> dict[str, Any]:
    """One side; `aside` of the ticks, so that intervals do not hide each other."""
    factor = 1.0 if metric.endswith("throughput") else 1 / NS_PER_MS
    values = [at["values"][metric] for at in points]
    y = [one["value"] * factor for one in values]
    above = [0.0 if one["high"] is None else one["high"] * factor - at for one, at in zip(values, y, strict=True)]
    below = [0.0 if one["low"] is None else at - one["low"] * factor for one, at in zip(values, y, strict=True)]
    return {
        "type": "scatter", "mode": "lines+markers", "name": name, "mark": colour(index),
        "x": [loads.index(_load(at)) + aside for at in points], "y": y,
        "text": [_load(at) for at in points], "hovertemplate": "%{text}: %{y:.5g}<extra></extra>",
        "line": {"color": colour(index), "width": 2}, "marker": {"size": 9, "symbol": _SYMBOLS[index % len(_SYMBOLS)]},
        "error_y": {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.5},
    }  # fmt: skip


_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
