"""Prints each case as it ends: a ``[BENCHMARK]`` line, or with --csv a row, which is also added to a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from tokenclock.offline.watcher import Opening, Watcher
from tokenclock.report import benchmark_csv, benchmark_line

__all__ = ["CasePrinter"]


class CasePrinter(Watcher):
    """Standard output of the command.

    Args:
        csv: rows in place of lines.
    """

    def __init__(self, *, csv: bool) -> None:
        self._csv = csv
        self._opening: Opening | None = None
        self._file = ""

    def opened(self, opening: Opening) -> None:
        self._opening = opening
        self._file = benchmark_csv.file_name(opening.model, opening.world_size, opening.compute_cap)
        if self._csv:
            print(benchmark_csv.header(opening.keys), flush=True)

    def case_ended(self, case: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        assert self._opening is not None, "opened comes first"
        if not self._csv:
            print(benchmark_line.render(values, case), flush=True)
            return
        head = benchmark_csv.header(self._opening.keys)
        line = benchmark_csv.row(values, case, self._opening.created)
        print(line, flush=True)
        try:
            benchmark_csv.append(self._file, head, line)
        except (OSError, ValueError) as error:
            reason = (error.strerror or error) if isinstance(error, OSError) else error
            print(f"tokenclock benchmark: cannot add the row to {self._file}: {reason}", file=sys.stderr, flush=True)
