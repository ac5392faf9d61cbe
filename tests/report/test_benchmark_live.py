"""The live table, on a console that keeps what it is told."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from tokenclock.report.benchmark_live import CaseTable, case_table

MEASURED: dict[str, Any] = {
    "label": "batch 8, 128 in, 20 out",
    "status": "measured",
    "warnings": ["a"],
    "n": 10,
    "latencies": {"latency": {"mean": 2e6, "median": 1.5e6, "percentiles": {"floor": {"95": 9e6}}}},
    "throughput": {"output_throughput": 1234.5},
}


def test_nothing_is_shown_where_nobody_looks() -> None:
    with case_table(3) as table:  # stderr of a test is no terminal
        assert table is None


def test_rows_of_cases_and_of_the_one_that_runs() -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True)
    with case_table(3, make_live=lambda: Live(console=console, auto_refresh=False)) as table:
        assert table is not None
        table.going_on("batch 8, 128 in, 20 out", "warm_up", 1, 3_000_000)
        table.ended(MEASURED)
        table.ended({"label": "batch 9, 1 in", "status": "skipped", "warnings": []})
    text = out.getvalue()
    assert "warm up" in text
    assert "3.000" in text
    last = text[text.rindex("2 of 3 cases") :]
    for word in ("measured! ", "2.000", "1.500", "9.000", "1234.50", "skipped", "n/a"):
        assert word in last


def test_a_running_case_is_drawn_at_most_every_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    class Display:
        def update(self, table: Any, refresh: bool) -> None:
            drawn.append(table)

    table = CaseTable(Display(), 1, interval_s=3600)  # type: ignore[arg-type]
    for _ in range(5):
        table.going_on("a", "timed", 1, None)
    assert len(drawn) == 1


def test_it_is_set_aside_while_something_is_printed() -> None:
    calls: list[str] = []

    class Display:
        def stop(self) -> None:
            calls.append("stop")

        def start(self, refresh: bool) -> None:
            calls.append("start")

    with CaseTable(Display(), 1).set_aside():  # type: ignore[arg-type]
        calls.append("print")
    assert calls == ["stop", "print", "start"]
