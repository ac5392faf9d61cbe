"""Runs as one HTML page: verdict first, then numbers, distributions, and what happened when. Needs plotly."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.metrics.offline_definitions import OFFLINE_DEFINITIONS
from tokenclock.metrics.series import RunSeries
from tokenclock.metrics.telemetry_lines import TelemetryLine
from tokenclock.quality import INVALID, WARN
from tokenclock.records import Records
from tokenclock.report import gpu_section, page
from tokenclock.report.page import Plot
from tokenclock.report.run_figures import distribution_plots, time_plots
from tokenclock.report.run_table import PERCENTILES, case_rows, facts, findings, latency_rows, rate_rows, title_of
from tokenclock.result import Result

__all__ = ["ShownRun", "pieces", "write"]

_CLASS = {WARN: " warn", INVALID: " invalid"}


@dataclass(frozen=True)
class ShownRun:
    """A run to be shown.

    Args:
        name: on the page.
        result: of the run.
        series, records: None where no columns of a load test lie beside the result.
        telemetry: what its GPUs and its server told over time; empty where nothing was recorded.
    """

    name: str
    result: Result
    series: RunSeries | None
    records: Records | None = None
    telemetry: tuple[TelemetryLine, ...] = ()


def write(runs: Sequence[ShownRun], path: str | os.PathLike[str]) -> None:
    """Write the page, whole or not at all.

    Raises:
        ImportError: no plotly.
        OSError: it cannot be written.
    """
    page.write(path, *_content(runs))


def pieces(runs: Sequence[ShownRun]) -> list[bytes]:
    """The same page in pieces, in their order. Raises ImportError where there is no plotly."""
    return page.with_plots(*_content(runs))


def _content(runs: Sequence[ShownRun]) -> tuple[str, str, list[Plot]]:
    """Title, body and plots."""
    title = "tokenclock report: " + ", ".join(run.name for run in runs)
    with_series = {run.name: run.series for run in runs if run.series is not None}
    shared = distribution_plots(with_series)
    own = [
        time_plots(f"run{i}", run.series, run.result.steady, run.telemetry) if run.series else []
        for i, run in enumerate(runs)
    ]
    parts = [f"<h1>{escape(title)}</h1>"]
    for run, plots in zip(runs, own, strict=True):
        parts.append(_run(run, plots, several=len(runs) > 1))
    if shared:
        parts += ["<h2>Distributions</h2>", _figures(shared)]
    return title, "\n".join(parts), [*shared, *(plot for plots in own for plot in plots)]


def _figures(plots: Sequence[Plot]) -> str:
    return '<div class="figures">' + "".join(page.figure(plot) for plot in plots) + "</div>"


def _run(run: ShownRun, plots: Sequence[Plot], *, several: bool) -> str:
    result = run.result
    parts = [f"<h2>{escape(run.name)}</h2>" if several else "", _verdict(result), _cards(result)]
    if result.kind == "benchmark":
        parts.append(_cases(result))
    else:
        parts += [_latencies(result), _rates(result)]
    if result.gpu:
        parts.append(_gpu(result.gpu))
    if plots:
        parts.append(_figures(plots))
    elif result.kind == "serving":
        why = "No columns lie beside this result" if run.series is None else "Nothing was sent"
        parts.append(f'<p class="soft">{why}, so there is nothing to draw of it.</p>')
    return "\n".join(part for part in parts if part)


def _verdict(result: Result) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in findings(result))
    marks = {
        f"{title_of(mark.metric)} p{mark.percentile:g}" for mark in result.quality.marks if mark.metric in DEFINITIONS
    }
    few = (
        f'<p class="soft">Too few samples for {escape(", ".join(sorted(marks)))} (in parentheses).</p>' if marks else ""
    )
    return (
        f'<div class="verdict{_CLASS.get(result.quality.status, "")}"><strong>Measurement quality: '
        f"{escape(result.quality.verdict)}</strong>{f'<ul>{lines}</ul>' if lines else ''}{few}</div>"
    )


def _cards(result: Result) -> str:
    cards = "".join(
        f'<div class="card">{escape(name)}<b style="font-size:1rem">{escape(value)}</b></div>'
        for name, value in facts(result)
    )
    return f'<div class="cards">{cards}</div>'


def _latencies(result: Result) -> str:
    rows = [
        [page.term(title_of(tag), f"{DEFINITIONS[tag].title}: {DEFINITIONS[tag].formula}"), *map(escape, cells)]
        for tag, cells in latency_rows(result)
    ]
    head = [
        "latency (ms)",
        "N",
        "mean [95 %]",
        *(f"P{label}" if label != "50" else "median" for label in PERCENTILES),
        "max",
    ]
    return page.table(head, rows, label="Latencies") if rows else '<p class="soft">No request has a latency.</p>'


def _rates(result: Result) -> str:
    rows = [
        [page.term(DEFINITIONS[tag].title, DEFINITIONS[tag].formula), escape(whole), escape(steady)]
        for tag, whole, steady in rate_rows(result)
    ]
    return page.table(["per second", "whole run [95 %]", "steady window"], rows, label="Rates") if rows else ""


def _cases(result: Result) -> str:
    head = [
        "case",
        "status",
        "N",
        page.term("mean (ms)", OFFLINE_DEFINITIONS["latency"].formula),
        "median",
        "P95",
        "P99",
    ]
    tokens = page.term("tokens/s", OFFLINE_DEFINITIONS["output_throughput"].formula)
    rows = [[escape(cell) for cell in row] for row in case_rows(result)]
    return page.table([*head, tokens], rows, words=(1,), label="Cases")


def _gpu(gpu: Mapping[str, Any]) -> str:
    """A row for each GPU, over the load."""
    if not isinstance(gpu.get("usage"), Mapping):
        return ""
    head, rows = gpu_section.table_of(gpu)
    cells = [[escape(cell) for cell in row] for row in rows]
    return page.table(head, cells, words=(6,), label="GPUs of this host, during the load") if rows else ""
