"""The CSV file of an offline run: each case's row is added to it as the case ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tokenclock.offline.loop import CaseRun
from tokenclock.offline.watcher import Opening, Watcher
from tokenclock.report import benchmark_csv

__all__ = ["CsvFile"]


class CsvFile(Watcher):
    """Adds rows to ``{model}_{dtype}_tp{N}_sm{cc}.csv`` in the working directory. A row that the file does not take is
    said; the run goes on.

    Args:
        watcher: told of everything as well, after the file.
        say: told in one line why a row is not in the file.
    """

    def __init__(self, watcher: Watcher, say: Callable[[str], None]) -> None:
        self._watcher, self._say = watcher, say
        self._path, self._head, self._created = "", "", ""

    def opened(self, opening: Opening) -> None:
        self._path = benchmark_csv.file_name(opening.model, opening.world_size, opening.compute_cap)
        self._head, self._created = benchmark_csv.header(opening.keys), opening.created
        self._watcher.opened(opening)

    def going_on(self, run: CaseRun) -> None:
        self._watcher.going_on(run)

    def case_ended(self, case: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        try:
            benchmark_csv.append(self._path, self._head, benchmark_csv.row(values, case, self._created))
        except (OSError, ValueError) as error:
            reason = (error.strerror or error) if isinstance(error, OSError) else error
            self._say(f"cannot add the row to {self._path}: {reason}")
        self._watcher.case_ended(case, values)
