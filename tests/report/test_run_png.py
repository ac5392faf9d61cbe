"""The axes of a run's picture."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tokenclock.report.run_png import _plain_log


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
