"""The plots of load tests for an HTML page, from `metrics.series`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.metrics.series import Curve, RunSeries
from tokenclock.metrics.telemetry_lines import TelemetryLine
from tokenclock.report.colours import colour
from tokenclock.report.format import counted
from tokenclock.report.page import Plot, floats
from tokenclock.report.telemetry_figure import telemetry_plots
from tokenclock.units import NS_PER_MS, NS_PER_S

__all__ = ["distribution_plots", "time_plots"]

_WAIT, _RECEIVE, _FAILED, _MARK = "#E69F00", "#56B4E9", "#D55E00", "#0072B2"
_MARKS_SHOWN_UP_TO = 100  # requests; with more the marks hide the lines, and wait for their button
_DASHES = ("solid", "dash", "dot", "dashdot")
_SVG_SPANS = 1500  # requests drawn where there is no WebGL
_WHOLE_TICKS_UP_TO = 10  # requests; with more plotly's own ticks are whole
_TAGS = ("ttft", "tpot", "itl", "e2el")


def distribution_plots(series: Mapping[str, RunSeries]) -> list[Plot]:
    """ECDF and percentile plot of each latency, all runs in one; TTFT against ISL.

    Args:
        series: name of the run -> its series.
    """
    plots = []
    for tag in _TAGS:
        if not any(tag in one.ecdf for one in series.values()):
            continue
        title, short = DEFINITIONS[tag].title, tag.upper()
        plots.append(
            Plot(
                f"ecdf-{tag}",
                f"{short}: share of samples",
                f"{title}: how large a share came within so many ms.",
                [
                    _line(name, i, one.ecdf[tag], per_x=NS_PER_MS, step=True)
                    for i, (name, one) in enumerate(series.items())
                    if tag in one.ecdf
                ],
                {
                    "xaxis": {"title": {"text": f"{short} (ms)"}, "type": "log"},
                    "yaxis": {"title": {"text": "share"}, "range": [0, 1.02], "tickformat": ".0%"},
                },
            )
        )
        plots.append(
            Plot(
                f"percentiles-{tag}",
                f"{short}: by percentile",
                f"{title} at each percentile; every step to the right is a nine more, as far as the samples reach.",
                [
                    _line(name, i, one.percentiles[tag], per_y=NS_PER_MS)
                    for i, (name, one) in enumerate(series.items())
                    if tag in one.percentiles
                ],
                {
                    "xaxis": {
                        "title": {"text": "percentile"},
                        "type": "log",
                        "tickvals": [1, 2, 10, 100, 1000, 10_000, 100_000, 1_000_000],
                        "ticktext": ["0", "50", "90", "99", "99.9", "99.99", "99.999", "99.9999"],
                    },
                    "yaxis": {"title": {"text": f"{short} (ms)"}, "rangemode": "tozero"},
                },
            )
        )
    points = [(name, i, one.ttft_by_isl) for i, (name, one) in enumerate(series.items()) if len(one.ttft_by_isl.x)]
    if points:
        plots.append(
            Plot(
                "ttft-isl",
                "TTFT by input length",
                "One point a request, at most 5000 a run: whether long prompts wait longer.",
                [_points(name, i, curve) for name, i, curve in points],
                {
                    "xaxis": {"title": {"text": "input tokens"}, "rangemode": "tozero"},
                    "yaxis": {"title": {"text": "TTFT (ms)"}, "rangemode": "tozero"},
                },
                wide=True,
            )
        )
    return plots


def _line(
    name: str, index: int, curve: Curve, *, per_x: float = 1, per_y: float = 1, step: bool = False
) -> dict[str, Any]:
    line = {"color": colour(index), "width": 2, "dash": _DASHES[index // 7 % len(_DASHES)]}
    alone = {"mode": "lines+markers", "marker": {"color": colour(index), "size": 8}} if len(curve.x) == 1 else {}
    return {
        "type": "scatter", "mode": "lines", "name": name, "mark": colour(index),
        "line": {**line, "shape": "hv"} if step else line, **alone,
        "x": floats(curve.x / per_x), "y": floats(curve.y / per_y),
    }  # fmt: skip


def _points(name: str, index: int, curve: Curve) -> dict[str, Any]:
    return {
        "type": "scattergl", "mode": "markers", "name": name, "mark": colour(index),
        "marker": {"color": colour(index), "size": 5, "opacity": 0.55},
        "x": floats(curve.x), "y": floats(curve.y / NS_PER_MS),
    }  # fmt: skip


def time_plots(
    prefix: str, series: RunSeries, steady: Mapping[str, Any] | None, telemetry: Sequence[TelemetryLine] = ()
) -> list[Plot]:
    """What happened when, in one run: load and throughput, ITL, each request, and telemetry, on one time axis.

    Args:
        prefix: of the plots' ids.
        series: of the run.
        steady: the ``steady`` section of its result, whose window is shaded.
        telemetry: what GPUs and the server told; may be empty.
    """
    window = _window(steady)
    plots = [_over_time(prefix, series, window)] if len(series.tokens.x) else []
    if series.itl is not None:
        plots.append(_heat(prefix, series))
    if len(series.spans.rows):
        plots.append(_timeline(prefix, series, window))
        plots += telemetry_plots(prefix, telemetry, _time_axis(series), window)
    return plots


def _time_axis(series: RunSeries) -> dict[str, Any]:
    """From the run's start to its end: the same for every plot, so that they stand above each other."""
    return {"title": {"text": "s after the start"}, "range": [0, series.end_s]}


def _window(steady: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if steady is None or steady.get("t_start_ns") is None:
        return []
    area = {"type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "line": {"width": 0}, "layer": "below"}
    edges = {"x0": steady["t_start_ns"] / NS_PER_S, "x1": steady["t_end_ns"] / NS_PER_S}
    return [{**area, **edges, "fillcolor": "rgba(0,158,115,0.13)"}]


def _over_time(prefix: str, series: RunSeries, window: list[dict[str, Any]]) -> Plot:
    lines = (
        ("output tokens/s", series.tokens, "y", 0),
        ("requests in flight", series.in_flight, "y2", 1),
        ("requests completed/s", series.completions, "y3", 2),
    )
    return Plot(
        f"{prefix}-load",
        "Throughput and load over time",
        f"Means over windows of {series.bin_s:.3g} s."
        + (" The steady window is shaded." if window else " The run has no steady window."),
        [
            {
                "type": "scatter", "mode": "lines", "name": name, "mark": colour(i), "yaxis": axis, "xaxis": "x",
                "line": {"color": colour(i), "width": 1.6, "shape": "hvh"}, "x": floats(curve.x), "y": floats(curve.y),
            }
            for name, curve, axis, i in lines
        ],
        {
            "xaxis": {**_time_axis(series), "anchor": "y3"},
            "yaxis": {"domain": [0.7, 1], "title": {"text": "tokens/s"}, "rangemode": "tozero"},
            "yaxis2": {"domain": [0.36, 0.64], "title": {"text": "in flight"}, "rangemode": "tozero"},
            "yaxis3": {"domain": [0, 0.3], "title": {"text": "done/s"}, "rangemode": "tozero"},
            "shapes": window,
            "hovermode": "x",
        },
        wide=True,
        together=prefix,
    )  # fmt: skip


def _heat(prefix: str, series: RunSeries) -> Plot:
    heat = series.itl
    assert heat is not None
    with np.errstate(divide="ignore"):
        counts = np.where(heat.counts > 0, np.log10(heat.counts), np.nan)
    most = int(heat.counts.max())
    ticks = [power for power in range(7) if 10**power <= most]
    return Plot(
        f"{prefix}-itl",
        "Inter-token latency over time",
        "How many gaps ended when, by their length; a strong row is a step of all streams, a blot is a stall.",
        [
            {
                "type": "heatmap", "x": floats(heat.x), "y": floats(heat.y / NS_PER_MS), "z": floats(counts),
                "hoverongaps": False, "zsmooth": False,
                "colorbar": {"title": {"text": "gaps"}, "tickvals": ticks, "ticktext": [f"{10**p:,}" for p in ticks],
                             "thickness": 12, "outlinewidth": 0},
                "zmin": 0, "zmax": float(np.log10(max(most, 2))),
                "hovertemplate": "%{x:.2f} s<br>%{y:.3f} ms<br>10^%{z:.1f} gaps<extra></extra>",
            }
        ],
        {
            "xaxis": _time_axis(series),
            "yaxis": {"title": {"text": "ITL (ms)"}, "type": "log"},
        },
        wide=True,
        together=prefix,
    )  # fmt: skip


def _timeline(prefix: str, series: RunSeries, window: list[dict[str, Any]]) -> Plot:
    spans = series.spans
    first = np.where(np.isfinite(spans.first), spans.first, spans.last)
    traces = [
        _segments("waiting for the first token", _WAIT, spans.sent, np.where(spans.ok, first, np.nan)),
        _segments("receiving", _RECEIVE, first, np.where(spans.ok, spans.last, np.nan)),
    ]
    if not spans.ok.all():
        end = np.where(np.isfinite(spans.last), spans.last, spans.sent)
        traces.append(_segments("failed", _FAILED, spans.sent, np.where(spans.ok, np.nan, end)))
    if series.n_marked:
        every = "every request" if series.n_marked == len(spans.rows) else counted(series.n_marked, "request")
        traces.append(
            {
                "type": "scattergl", "mode": "markers", "name": f"tokens of {every}", "mark": _MARK,
                "visible": len(spans.rows) <= _MARKS_SHOWN_UP_TO,
                "marker": {"color": _MARK, "size": 4, "opacity": 0.8}, "hoverinfo": "skip",
                "x": floats(series.marks.x), "y": floats(series.marks.y),
                "svg": {"x": floats(series.marks.x[::8]), "y": floats(series.marks.y[::8])},
            }
        )  # fmt: skip
    return Plot(
        f"{prefix}-timeline",
        "Requests",
        f"One line for each of {len(spans.rows):,} requests, in order of sending; zoom in to tell them apart."
        if len(spans.rows) > 1
        else "One line, for the only request.",
        traces,
        {
            "xaxis": _time_axis(series),
            "yaxis": _request_axis(len(spans.rows)),
            "shapes": window,
        },
        wide=True,
        together=prefix,
    )


def _request_axis(n: int) -> dict[str, Any]:
    """From the first request, at the top, down; ticks at whole numbers however few there are."""
    axis: dict[str, Any] = {"title": {"text": "request"}, "autorange": "reversed"}
    return axis if n > _WHOLE_TICKS_UP_TO else {**axis, "autorange": False, "range": [n - 0.5, -0.5], "dtick": 1}


def _segments(name: str, shade: str, start: npt.NDArray[Any], end: npt.NDArray[Any]) -> dict[str, Any]:
    """Lines from start to end at each place, broken between; those without an end are left out."""
    places = np.flatnonzero(np.isfinite(start) & np.isfinite(end))
    thin = places[:: max(1, -(-len(places) // _SVG_SPANS))]
    whole, few = (_broken(start, end, chosen) for chosen in (places, thin))
    return {
        "type": "scattergl", "mode": "lines", "name": name, "mark": shade, "line": {"color": shade, "width": 3},
        "connectgaps": False, "hovertemplate": "request %{y:.0f}, %{x:.3f} s<extra></extra>", **whole, "svg": few,
    }  # fmt: skip


def _broken(start: npt.NDArray[Any], end: npt.NDArray[Any], places: Sequence[int] | npt.NDArray[Any]) -> dict[str, Any]:
    nothing = np.full(len(places), np.nan)
    x = np.column_stack([start[places], end[places], nothing]).ravel()
    y = np.column_stack([places, places, nothing]).ravel()
    return {"x": floats(x), "y": floats(y)}
