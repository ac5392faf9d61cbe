"""A load test as one picture: load over time, ITL, requests, distributions, the verdict on top. Needs matplotlib."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenclock.atomic_file import atomic_write
from tokenclock.metrics.series import RunSeries
from tokenclock.metrics.telemetry_lines import TelemetryLine
from tokenclock.report.colours import colour
from tokenclock.report.run_table import facts, findings, latency_rows, title_of
from tokenclock.report.telemetry_figure import panels
from tokenclock.result import Result
from tokenclock.units import NS_PER_MS, NS_PER_S

__all__ = ["write"]

_TAGS = ("ttft", "tpot", "itl", "e2el")
_WAIT, _RECEIVE, _FAILED = "#E69F00", "#56B4E9", "#D55E00"
_SHADE = "#009E73"
_FEW = 7  # gaps in the fullest bin, or requests: then each is a tick
_WIDTH, _FINDINGS = 88, 2  # letters of a line at the top; findings told there
_LINES_AT_TOP, _LINE_INCHES, _INCHES_A_ROW = 4, 0.2, 2.6
_VERDICTS = {"VALID": "#006d4a", "VALID with warnings": "#7a5200", "INVALID": "#a63a00"}


def write(
    name: str,
    result: Result,
    series: RunSeries,
    path: str | os.PathLike[str],
    telemetry: Sequence[TelemetryLine] = (),
) -> None:
    """Write a PNG of 2100 x 1650 pixels, whole or not at all.

    It is higher by 330 for each two panels of telemetry, and by what the words at its top need beyond four lines.

    Raises:
        ImportError: no matplotlib.
        OSError: it cannot be written.
    """
    figure = _figure(name, result, series, telemetry)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150)


def _figure(name: str, result: Result, series: RunSeries, telemetry: Sequence[TelemetryLine]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    told = panels(telemetry)
    n_more = -(-len(told) // 2)
    said = _said(result)
    more_inches = _LINE_INCHES * max(0, len(said) - _LINES_AT_TOP)
    height = 11 + 2.2 * n_more + more_inches
    figure = Figure(figsize=(14, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    FigureCanvasAgg(figure)
    top = 0.62 + more_inches / _INCHES_A_ROW
    axes = figure.subplots(4 + n_more, 2, height_ratios=[top, 1, 1, *[0.75] * n_more, 1])
    for axis in axes[0]:
        axis.set_axis_off()
    _words(axes[0][0], axes[0][1], name, result, said)
    _tokens(axes[1][0], series, result.steady)
    _load(axes[1][1], series, result.steady)
    _heat(figure, axes[2][0], series)
    _requests(axes[2][1], series)
    _telemetry([axis for row in axes[3 : 3 + n_more] for axis in row], told, series, result.steady)
    _curves(axes[-1][0], axes[-1][1], series)
    for axis in (axis for axis in axes[1:].ravel() if axis.axison):
        axis.tick_params(labelsize=11)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure


def _said(result: Result) -> list[str]:
    """Lines below the verdict: what was measured, and the worst findings; how many more there are is the last line."""
    lines = textwrap.wrap(" | ".join(f"{heading}: {value}" for heading, value in facts(result)), _WIDTH)
    found = findings(result)
    for finding in found[:_FINDINGS]:
        lines += textwrap.wrap(finding, _WIDTH, subsequent_indent="  ", max_lines=2, placeholder=" ...")
    if len(found) > _FINDINGS:
        lines.append(f"and {len(found) - _FINDINGS} more: --html and --markdown tell all of them")
    return lines


def _words(left: Any, right: Any, name: str, result: Result, said: Sequence[str]) -> None:
    left.set_title(name, fontsize=16, fontweight="bold", loc="left")
    verdict = result.quality.verdict
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    heading = f"Measurement quality: {verdict}"
    left.annotate(heading, (0, 1), (0, -4), fontsize=13, color=_VERDICTS[verdict], fontweight="bold", **place)
    lines = left.annotate("\n".join(said), (0, 1), (0, -26), fontsize=10.5, linespacing=1.35, **place)
    lines.set_in_layout(False)  # they may reach into the next column, where nothing is; no room is made for them
    rows = [
        (title_of(tag), cells[1].partition(" [")[0], *cells[2:5]) for tag, cells in latency_rows(result) if tag in _TAGS
    ]
    if rows:
        table = right.table(rows, colLabels=("ms", "mean", "median", "P90", "P99"), loc="center", edges="horizontal")
        table.auto_set_font_size(False)
        table.set_fontsize(12)
        table.scale(1, 1.5)


def _steady(axis: Any, steady: Mapping[str, Any] | None) -> None:
    if steady is not None and steady.get("t_start_ns") is not None:
        start, end = steady["t_start_ns"] / NS_PER_S, steady["t_end_ns"] / NS_PER_S
        axis.axvspan(start, end, color=_SHADE, alpha=0.13, linewidth=0, label="steady window")


def _whole_run(axis: Any, series: RunSeries) -> None:
    """From the run's start to its end, so that what was at one time stands at one place in every picture."""
    axis.set_xlim(0, series.end_s or 1)


def _title(axis: Any, title: str, x: str, y: str) -> None:
    axis.set_title(title, fontsize=13, fontweight="bold")
    axis.set_xlabel(x, fontsize=11)
    axis.set_ylabel(y, fontsize=11)
    axis.grid(True, linewidth=0.4, alpha=0.5)


def _tokens(axis: Any, series: RunSeries, steady: Mapping[str, Any] | None) -> None:
    _title(axis, "Output throughput over time", "s after the start", "tokens/s")
    if not len(series.tokens.x):
        _nothing(axis, "nothing was sent")
        return
    _steady(axis, steady)
    axis.step(series.tokens.x, series.tokens.y, where="mid", color=colour(0), linewidth=1.3, label="output tokens/s")
    axis.set_ylim(bottom=0)
    _whole_run(axis, series)
    axis.legend(fontsize=10, loc="lower center", ncols=2)


def _load(axis: Any, series: RunSeries, steady: Mapping[str, Any] | None) -> None:
    _title(axis, "Load over time", "s after the start", "requests in flight")
    if not len(series.tokens.x):
        _nothing(axis, "nothing was sent")
        return
    _steady(axis, steady)
    axis.step(
        series.in_flight.x, series.in_flight.y, where="mid", color=colour(1), linewidth=1.6, label="requests in flight"
    )
    axis.set_ylim(0, 1.08 * max(1.0, float(series.in_flight.y.max())))
    _whole_run(axis, series)
    axis.legend(fontsize=10, loc="lower center", ncols=2)


def _heat(figure: Any, axis: Any, series: RunSeries) -> None:
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MultipleLocator

    _title(axis, "Inter-token latency over time", "s after the start", "ITL (ms)")
    heat = series.itl
    if heat is None:
        _nothing(axis, "no gaps between token events")
        return
    axis.grid(False)
    counts = np.ma.masked_equal(heat.counts, 0)
    most = max(2.0, float(heat.counts.max()))
    norm = LogNorm(1, most)
    drawn = axis.pcolormesh(heat.x, heat.y / NS_PER_MS, counts, cmap="cividis_r", norm=norm, shading="nearest")
    _whole_run(axis, series)
    axis.set_yscale("log")
    _plain_log(axis.yaxis)
    bar = figure.colorbar(drawn, cax=axis.inset_axes((1.015, 0, 0.02, 1)), label="gaps")
    _plain_log(bar.ax.yaxis)
    if most <= _FEW:
        bar.ax.yaxis.set_major_locator(MultipleLocator(1))


def _plain_log(axis: Any) -> None:
    """Ticks of a log axis as plain numbers, as many as can be read: 1, 10, 100; 1, 2, 5, 10; or evenly spaced ones."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = axis.get_view_interval()
    span = high / low if low > 0 else 1.0
    steps = (1.0,) if span > 2000 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=steps) if span > 6 else MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_formatter(NullFormatter())


def _requests(axis: Any, series: RunSeries) -> None:
    from matplotlib.ticker import MultipleLocator

    spans = series.spans
    places = np.arange(len(spans.rows))
    first = np.where(np.isfinite(spans.first), spans.first, spans.last)
    ok = spans.ok & np.isfinite(spans.last)
    width = float(np.clip(260 / max(1, len(places)), 0.3, 4))
    how_many = "The request" if len(places) == 1 else f"Requests, {len(places):,} in order of sending"
    _title(axis, how_many, "s after the start", "request")
    if not len(places):
        _nothing(axis, "nothing was sent")
        return
    lines: dict[str, Any] = {"linewidth": width}
    axis.hlines(places[ok], spans.sent[ok], first[ok], color=_WAIT, label="waiting for the first token", **lines)
    axis.hlines(places[ok], first[ok], spans.last[ok], color=_RECEIVE, label="receiving", **lines)
    if not ok.all():
        end = np.where(np.isfinite(spans.last), spans.last, spans.sent)[~ok]
        axis.hlines(places[~ok], spans.sent[~ok], end, color=_FAILED, label="failed", **lines)
    axis.set_ylim(len(places) - 0.5, -0.5)
    if len(places) <= _FEW:
        axis.yaxis.set_major_locator(MultipleLocator(1))
    _whole_run(axis, series)
    for handle in axis.legend(fontsize=10, loc="lower left").get_lines():
        handle.set_linewidth(4)


def _telemetry(
    axes: Sequence[Any],
    told: Mapping[str, Sequence[TelemetryLine]],
    series: RunSeries,
    steady: Mapping[str, Any] | None,
) -> None:
    for axis, (panel, lines) in zip(axes, told.items(), strict=False):
        _title(axis, panel, "s after the start", "")
        _steady(axis, steady)
        for i, line in enumerate(lines):
            axis.plot(line.t_s, line.values, color=colour(i), linewidth=1.5, label=line.name)
        _whole_run(axis, series)
        if "clock" not in panel and "temperature" not in panel:
            axis.set_ylim(bottom=0)
        axis.legend(fontsize=10, loc="best", ncols=4)
    for axis in axes[len(told) :]:
        axis.set_axis_off()


def _curves(left: Any, right: Any, series: RunSeries) -> None:
    _title(left, "Distributions", "ms", "share of samples")
    _title(right, "By percentile", "percentile", "ms")
    for i, tag in enumerate(tag for tag in _TAGS if tag in series.ecdf):
        curve, tail = series.ecdf[tag], series.percentiles[tag]
        mark = "o" if len(curve.x) == 1 else ""
        left.step(
            curve.x / NS_PER_MS, curve.y, where="post", color=colour(i), linewidth=1.8, label=tag.upper(), marker=mark
        )
        right.plot(tail.x, tail.y / NS_PER_MS, color=colour(i), linewidth=1.8, label=tag.upper())
    if not series.ecdf:
        _nothing(left, "no request has a latency")
        _nothing(right, "no request has a latency")
        return
    left.set_xscale("log")
    right.set_xscale("log")
    right.set_yscale("log")
    _plain_log(left.xaxis)
    _plain_log(right.yaxis)
    longest = max(float(curve.x[-1]) for curve in series.percentiles.values())
    nines = [(1, "0"), (2, "50"), (10, "90"), (100, "99"), (1000, "99.9"), (10_000, "99.99"), (100_000, "99.999")]
    shown = [(at, text) for at, text in nines if at <= longest]
    right.set_xticks([at for at, _ in shown], [text for _, text in shown])
    right.set_xticks([], minor=True)
    for axis in (left, right):
        axis.legend(fontsize=10)


def _nothing(axis: Any, why: str) -> None:
    axis.text(0.5, 0.5, why, ha="center", va="center", transform=axis.transAxes, fontsize=12)
    axis.set_xticks([])
    axis.set_yticks([])
