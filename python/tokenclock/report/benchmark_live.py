"""The table of an offline run that fills while it runs: on stderr, and only where somebody looks at it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tokenclock.report.format import NOT_MEASURED, fixed, fixed_ms
from tokenclock.standard_error import quiet_stderr

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

__all__ = ["CaseTable", "case_table"]

_INTERVAL_S = 0.5  # drawing takes a few ms, between two iterations
_ROWS = 20  # the last so many cases are shown


class CaseTable:
    """Rows of the cases that ended, and one of the case that runs."""

    def __init__(self, make_live: Callable[[], Live], n_cases: int, interval_s: float = _INTERVAL_S) -> None:
        self._make_live, self._n_cases, self._interval_s = make_live, n_cases, interval_s
        self._live = make_live()
        self._rows: list[tuple[str, ...]] = []
        self._t_due_s = 0.0

    def __enter__(self) -> CaseTable:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def ended(self, case: Mapping[str, Any]) -> None:
        """A case is over: its entry in the result."""
        self._rows.append(_row(case))
        self._live.update(self._table(None), refresh=True)

    def going_on(self, label: str, phase: str, n: int, last_ns: int | None) -> None:
        """A case goes on; drawn at most twice a second.

        Args:
            label: of the case.
            phase: such as ``timed``.
            n: iterations so far, warm-ups included.
            last_ns: latency of the last one.
        """
        now_s = time.monotonic()
        if now_s >= self._t_due_s:
            self._t_due_s = now_s + self._interval_s
            row = (label, phase.replace("_", " "), str(n), fixed_ms(last_ns, 3), "", "", "")
            self._live.update(self._table(row), refresh=True)

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """While something is printed on the same terminal: the table goes, and is drawn anew below what was printed."""
        self._live.transient = True
        self._live.stop()
        try:
            yield
        finally:
            self._live = self._make_live()  # the old one would wipe as many lines as it had, what was printed with them
            self._live.update(self._table(None))
            self._live.start(refresh=True)

    def _table(self, running: tuple[str, ...] | None) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        title = f"{len(self._rows)} of {self._n_cases} cases, latencies in ms"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("case", no_wrap=True)
        table.add_column("status", no_wrap=True)
        for heading in ("runs", "mean", "median", "P95", "tokens/s"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in self._rows[-_ROWS:]:
            table.add_row(*row)
        if running is not None:
            table.add_row(*running, style="bold")
        return table


def _row(case: Mapping[str, Any]) -> tuple[str, ...]:
    if case["status"] != "measured":
        return (case["label"], case["status"], "0", *[NOT_MEASURED] * 4)
    latency = case["latencies"].get("device_latency") or case["latencies"]["latency"]
    return (
        case["label"],
        "measured" + "!" * len(case["warnings"]),  # each is a line on stderr
        str(case["n"]),
        fixed_ms(latency["mean"], 3),
        fixed_ms(latency["median"], 3),
        fixed_ms(latency["percentiles"]["floor"]["95"], 3),
        fixed(case["throughput"]["output_throughput"], 2),
    )


@contextmanager
def case_table(n_cases: int, *, make_live: Callable[[], Live] | None = None) -> Iterator[CaseTable | None]:
    """The table for the length of the block, which stays on the screen; None where stderr is no terminal.

    Args:
        n_cases: of the plan.
        make_live: another display, for tests.
    """
    if make_live is None and not sys.stderr.isatty():
        yield None
        return
    with CaseTable(make_live or _live, n_cases) as table:
        yield table


def _live() -> Live:
    from rich.console import Console
    from rich.live import Live

    # no thread of its own beside what is measured
    return Live(console=Console(file=quiet_stderr()), auto_refresh=False, redirect_stdout=False, transient=False)
