"""What the command shows of a run while it goes on: a ``[BENCHMARK]`` line per case, or with --csv a row; and on a
terminal a table."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

from tokenclock.cli.standard_streams import show
from tokenclock.offline.loop import CaseRun
from tokenclock.offline.watcher import Opening, Watcher
from tokenclock.report import benchmark_csv, benchmark_line
from tokenclock.report.benchmark_live import CaseTable
from tokenclock.result_benchmark import case_label

__all__ = ["CasePrinter"]


class CasePrinter(Watcher):
    """Standard output of the command, and the table on stderr.

    Args:
        csv: rows in place of lines.
        table: None where nobody looks.
    """

    def __init__(self, *, csv: bool, table: CaseTable | None = None) -> None:
        self._csv, self._table = csv, table
        self._opening: Opening | None = None
        self.code = 0
        """As `show` returns it: 0; 1 where standard output took nothing; 141 where its reader has gone."""

    def opened(self, opening: Opening) -> None:
        self._opening = opening
        if self._csv:
            self._print(benchmark_csv.header(opening.keys))

    def going_on(self, run: CaseRun) -> None:
        if self._table is not None:
            self._table.going_on(case_label(run.case), run.phase, len(run.iterations), run.last_ns)

    def case_ended(self, case: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        assert self._opening is not None, "opened comes first"
        if self._csv:
            self._print(benchmark_csv.row(values, case, self._opening.created))
        else:
            self._print(benchmark_line.render(values, case))
        if self._table is not None:
            self._table.ended(case)

    def _print(self, line: str) -> None:
        if self.code:  # said already
            return
        aside = self._table is not None and sys.stdout.isatty()
        with self._table.set_aside() if aside and self._table is not None else contextlib.nullcontext():
            self.code = show("tokenclock benchmark", line)
