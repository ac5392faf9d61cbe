"""The picture of a session: what its axis spans."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.perftest.case_makers import NOON, make_outcome, make_row

from tokenclock.baselines.decide import Decision
from tokenclock.perftest import report_page
from tokenclock.perftest.metrics import METRICS
from tokenclock.perftest.report_entry import Entry, Session
from tokenclock.perftest.report_text import render


def decided(verdict: str, ratio: float, low: float | None, high: float | None) -> Any:
    return SimpleNamespace(metric="M", verdict=verdict, ratio=ratio, low=low, high=high)


def test_the_axis_spans_every_change_and_no_noisy_bar() -> None:
    pairs = [
        (1, decided("regression", 1.10, 1.05, 1.20)),
        (1, decided("too noisy", 1.30, 0.10, 36.0)),
        (2, decided("no difference shown", 0.99, None, None)),
    ]
    low, high = report_page._range(pairs)
    assert -10 < low < -1
    assert 30 < high < 40


def test_an_axis_of_nothing_but_noise_still_spans_something() -> None:
    low, high = report_page._range([(1, decided("too noisy", 1.0, 0.1, 9.0))])
    assert low < 0 < high


def test_every_metric_of_the_picture_has_its_label_and_the_table_its_units(tmp_path: Path) -> None:
    names = list(METRICS)[:18]
    rows = tuple(make_row(name, 12.5) for name in names)
    decisions = [
        Decision(name, "no difference shown", 12.5, 11.5, 12.5 / 11.5, 1.0, 1.2, "a long <reason>", n_history=3)
        for name in names
    ]
    entry = Entry(make_outcome(tmp_path, rows=rows), decisions)
    session = Session([entry], NOON, NOON, "host")
    (plot,) = report_page._plots(session)
    assert plot.layout["yaxis"]["dtick"] == 1
    assert plot.height_px is not None
    assert plot.height_px > 20 * len(names)
    table = report_page._decisions(entry)
    assert "12.5 ms" in table
    assert "11.5 s<" in table
    assert "<div class=long>a long &lt;reason&gt;</div>" in table
    assert "| 12.5 ms | 11.5 ms |" in render(session)
