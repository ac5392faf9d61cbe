"""The axes of a run's picture."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tests.conftest import result_of
from tests.simulate.processes import stalling_server

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.series import run_series
from tokenclock.quality import Check
from tokenclock.report.run_png import _figure, _plain_log


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (3.5, 28.0, ["5", "10", "20"]),
        (1.0, 20_000.0, ["1", "10", "100", "1,000", "10,000"]),
        (6.1, 8.9, ["6.6", "7.2", "7.8", "8.4"]),
        (0.02, 0.9, ["0.02", "0.05", "0.1", "0.2", "0.5"]),
    ],
)
def test_a_log_axis_reads_as_plain_numbers(low: float, high: float, expected: list[str]) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.set_yscale("log")
    axis.set_ylim(low, high)
    _plain_log(axis.yaxis)
    figure.canvas.draw()
    shown = [
        label.get_text()
        for tick, label in zip(axis.get_yticks(), axis.get_yticklabels(), strict=True)
        if low <= tick <= high
    ]
    assert [text for text in shown if text] == expected
    assert not any(label.get_text() for label in axis.get_yticklabels(minor=True))


@pytest.mark.parametrize(("n_found", "last"), [(0, None), (1, None), (2, None), (5, "and 3 more: --html and")])
def test_the_findings_have_room_above_the_plots(n_found: int, last: str | None) -> None:
    records = stalling_server(np.random.default_rng(0), 40, 4)
    result = result_of(records, RunFacts(max_concurrency=4))
    checks = tuple(
        Check(f"c{i}", "warn", 1.0, 0.0, {}, "a reason of many words " * 5, "a remedy of many words " * 5)
        for i in range(n_found)
    )
    result = dataclasses.replace(result, quality=dataclasses.replace(result.quality, checks=checks))
    figure = _figure("run", result, run_series(records), ())
    figure.canvas.draw()
    words, below = figure.axes[0].texts[-1], figure.axes[2].title
    assert words.get_window_extent().y0 > below.get_window_extent().y1 + 5
    lines = words.get_text().splitlines()
    assert sum(line.startswith("warn: ") for line in lines) == min(n_found, 2)
    assert lines[-1].startswith(last) if last else "more:" not in words.get_text()


@pytest.mark.parametrize("n", [1, 2])
def test_few_requests_are_points_with_whole_numbers_beside_them(n: int) -> None:
    records = stalling_server(np.random.default_rng(0), n, n)
    result = result_of(records, RunFacts(max_concurrency=n))
    figure = _figure("run", result, run_series(records), ())
    figure.canvas.draw()
    of = {axis.get_title(): axis for axis in figure.axes}
    requests = of["The request" if n == 1 else "Requests, 2 in order of sending"]
    ticks = [label.get_text() for label in requests.get_yticklabels()]
    assert {"0", "1"} >= {text for text in ticks if text in map(str, range(n))} != set()
    assert not any("." in text for text in ticks)
    marks = {line.get_label(): line.get_marker() for line in of["Distributions"].lines}
    assert marks["TTFT"] == ("o" if n == 1 else "")
    (bar,) = of["Inter-token latency over time"].child_axes
    assert not any("." in label.get_text() for label in bar.get_yticklabels())
