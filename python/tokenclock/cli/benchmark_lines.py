"""What the command shows of a run while it goes on: a ``[BENCHMARK]`` line per case, or with --csv a row, which is
also added to a file; and on a terminal a table."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

from tokenclock.offline.loop import CaseRun
from tokenclock.offline.watcher import Opening, Watcher
from tokenclock.report import benchmark_csv, benchmark_line
from tokenclock.report.benchmark_live import CaseTable
from tokenclock.result_benchmark import case_label
from tokenclock.standard_error import say_on_stderr

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
        self._file = ""

    def opened(self, opening: Opening) -> None:
        self._opening = opening
        self._file = benchmark_csv.file_name(opening.model, opening.world_size, opening.compute_cap)
        if self._csv:
            self._print(benchmark_csv.header(opening.keys))

    def going_on(self, run: CaseRun) -> None:
        if self._table is not None:
            self._table.going_on(case_label(run.case), run.phase, len(run.iterations), run.last_ns)

    def case_ended(self, case: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        assert self._opening is not None, "opened comes first"
        if self._csv:
            line = benchmark_csv.row(values, case, self._opening.created)
            self._print(line)
            self._add(line)
        else:
            self._print(benchmark_line.render(values, case))
        if self._table is not None:
            self._table.ended(case)

    def _print(self, line: str) -> None:
        aside = self._table is not None and sys.stdout.isatty()
        with self._table.set_aside() if aside and self._table is not None else contextlib.nullcontext():
            print(line, flush=True)

    def _add(self, line: str) -> None:
        assert self._opening is not None
        try:
            benchmark_csv.append(self._file, benchmark_csv.header(self._opening.keys), line)
        except (OSError, ValueError) as error:
            reason = (error.strerror or error) if isinstance(error, OSError) else error
            say_on_stderr(f"tokenclock benchmark: cannot add the row to {self._file}: {reason}")
