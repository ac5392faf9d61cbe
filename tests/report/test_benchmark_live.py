"""The live table, on a console that keeps what it is told."""

from __future__ import annotations

import io
import re
from typing import Any

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


def test_a_running_case_is_drawn_at_most_every_interval() -> None:
    drawn: list[Any] = []

    class Display:
        def update(self, table: Any, refresh: bool) -> None:
            drawn.append(table)

    table = CaseTable(Display, 1, interval_s=3600)  # type: ignore[arg-type]
    for _ in range(5):
        table.going_on("a", "timed", 1, None)
    assert len(drawn) == 1


def on_screen(text: str) -> list[str]:
    """Lines that a terminal shows of text with the two controls that wipe a table: a line up, and this line gone."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", text):
        if part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part and part != "\r" and not part.startswith("\x1b"):
            lines[row] += part
    return [line.rstrip() for line in lines if line.strip()]


def test_what_is_printed_stays_and_the_table_is_there_once() -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True)
    with case_table(2, make_live=lambda: Live(console=console, auto_refresh=False)) as table:
        assert table is not None
        for name in ("first", "second"):
            table.going_on(name, "timed", 1, None)
            with table.set_aside():
                out.write(f"[BENCHMARK] {name}\n")
            table.ended({**MEASURED, "label": name})
    shown = on_screen(out.getvalue())
    assert shown[:2] == ["[BENCHMARK] first", "[BENCHMARK] second"]
    assert [line for line in shown if "cases" in line] == ["2 of 2 cases, latencies in ms"]
