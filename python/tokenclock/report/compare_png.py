"""``benchmark_comparison.png``: TTFT, TPOT, ITL, E2EL and output throughput by load. Needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.report.colours import MARKERS, colour
from tokenclock.units import NS_PER_MS

__all__ = ["write"]

_PANELS = (  # tag, heading
    ("ttft", "Time to First Token (TTFT)"),
    ("tpot", "Time per Output Token (TPOT)"),
    ("itl", "Inter-token Latency (ITL)"),
    ("e2el", "End-to-end Latency (E2EL)"),
    ("output_throughput", "Output throughput"),
)
_OFFLINE = (
    ("latency", "Latency of a batch"), ("ttft", "Time to First Token (TTFT)"), ("tpot", "Time per Output Token (TPOT)"),
    ("generation", "Generation time"), ("output_throughput", "Output throughput"),
)  # fmt: skip
_MAX_NAME = 34


def write(comparison: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a PNG of 2100 x 1170 pixels (half as high for two metrics), whole or not at all.

    Raises:
        ImportError: no matplotlib.
        OSError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    curves = comparison["curves"]
    offline = any(at["load"]["batch_size"] is not None for curve in curves.values() for at in curve)
    panels = [(tag, title) for tag, title in (_OFFLINE if offline else _PANELS) if _has(curves, tag)]
    n_rows = 1 if len(panels) < 3 else 2
    figure = Figure(figsize=(14, 3.9 * n_rows), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    FigureCanvasAgg(figure)
    axes = figure.subplots(n_rows, 3).ravel()
    ticks, word = _ticks(curves)
    for axis, (tag, title) in zip(axes, panels, strict=False):
        for index, (name, curve) in enumerate(curves.items()):
            _draw(axis, tag, _short(name), curve, index, ticks, _aside(index, len(curves), len(ticks)))
        _finish(axis, tag, title, ticks, word)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    _legend(axes[len(panels)], axes[0], comparison)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150)


def _has(curves: Mapping[str, Any], tag: str) -> bool:
    return any(_key(tag) in at["values"] for curve in curves.values() for at in curve)


def _key(tag: str) -> str:
    return tag if tag.endswith("throughput") else f"{tag}.mean"


def _ticks(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[list[str], str]:
    """The loads as evenly spaced places, and what they are."""
    loads: dict[str, Mapping[str, Any]] = {}
    for curve in curves.values():
        for at in curve:
            loads.setdefault(_place(at), at["load"])
    known = list(loads.values())
    if all(load["batch_size"] is not None for load in known):
        word, number = "batch size", "batch_size"
    elif all(load["concurrency"] is not None for load in known):
        word, number = "concurrency", "concurrency"
    elif all(isinstance(load["request_rate"], (int, float)) for load in known):
        word, number = "requests per second", "request_rate"
    else:
        return list(loads), "load"
    return sorted(loads, key=lambda place: loads[place][number]), word


def _place(at: Mapping[str, Any]) -> str:
    load = at["load"]
    for key in ("batch_size", "concurrency", "request_rate"):
        if load[key] not in (None, "inf"):
            number = f"{load[key]:g}"
            return f"{number}\n{at['isl']:.0f}/{at['osl'] or 0:.0f}" if key == "batch_size" and at["isl"] else number
    return str(load["text"])


def _aside(index: int, n_sides: int, n_ticks: int) -> float:
    """How far a side's points stand from the tick, so that intervals do not hide each other."""
    step = 0.25 if n_ticks == 1 else 0.03
    return (index - (n_sides - 1) / 2) * min(step, 0.6 / n_sides)


def _draw(
    axis: Any, tag: str, name: str, curve: Sequence[Mapping[str, Any]], index: int, ticks: Sequence[str], aside: float
) -> None:
    factor = 1.0 if tag.endswith("throughput") else 1 / NS_PER_MS
    found = [(ticks.index(_place(at)), at["values"]) for at in curve if _key(tag) in at["values"]]
    if not found:
        return
    found.sort(key=lambda pair: pair[0])
    x = [place + aside for place, _ in found]
    y = [values[_key(tag)]["value"] * factor for _, values in found]
    bounds = [(values[_key(tag)]["low"], values[_key(tag)]["high"]) for _, values in found]
    errors = [
        [0.0 if low is None else max(0.0, at - low * factor) for at, (low, _) in zip(y, bounds, strict=True)],
        [0.0 if high is None else max(0.0, high * factor - at) for at, (_, high) in zip(y, bounds, strict=True)],
    ]
    style = {"color": colour(index), "marker": MARKERS[index % len(MARKERS)], "markersize": 8}
    axis.errorbar(x, y, yerr=errors, linewidth=2.2, capsize=4, label=name, **style)
    tail = [
        (place + aside, values[f"{tag}.p99"]["value"] * factor) for place, values in found if f"{tag}.p99" in values
    ]
    if tail:
        axis.plot(*zip(*tail, strict=True), linestyle=":", linewidth=1.6, alpha=0.8, **{**style, "markersize": 4})


def _finish(axis: Any, tag: str, title: str, ticks: Sequence[str], word: str) -> None:
    axis.set_title(title, fontsize=14, fontweight="bold")
    axis.set_ylabel("tokens/s" if tag.endswith("throughput") else "ms", fontsize=13)
    axis.set_xlabel(word, fontsize=13)
    axis.set_xticks(range(len(ticks)), ticks)
    axis.set_xlim(-0.4, len(ticks) - 0.6)
    axis.set_ylim(0, 1.06 * axis.get_ylim()[1])
    axis.tick_params(labelsize=12)
    axis.grid(True, linewidth=0.5, alpha=0.5)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _legend(empty: Any, drawn: Any, comparison: Mapping[str, Any]) -> None:
    """The names in the panel that is left, with what the lines mean and the verdicts counted."""
    handles, labels = drawn.get_legend_handles_labels()
    empty.legend(handles, labels, loc="upper left", fontsize=14, frameon=False, borderaxespad=0)
    lines = ["solid: mean (output throughput: of the run),", "bars: its 95 % interval; dotted: P99", ""]
    for other in list(dict.fromkeys(point["other"] for point in comparison["points"]))[:4]:
        rows = [row for point in comparison["points"] if point["other"] == other for row in point["rows"]]
        counted = [(verdict, sum(row["verdict"] == verdict for row in rows)) for verdict in _VERDICTS]
        lines.append(f"{_short(other)} against {_short(comparison['baseline'])}:")
        lines.append("  " + ", ".join(f"{n} {verdict}" for verdict, n in counted if n))
    top = 0.98 - 0.1 * (len(labels) + 0.5)
    empty.text(0, top, "\n".join(_folded(lines)), fontsize=12, va="top", ha="left", transform=empty.transAxes)


_VERDICTS = ("better", "worse", "no difference shown", "not enough data")


def _folded(lines: Sequence[str]) -> list[str]:
    import textwrap

    return [part for line in lines for part in (textwrap.wrap(line, 46, subsequent_indent="  ") or [""])]


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"...{name[3 - _MAX_NAME :]}"
