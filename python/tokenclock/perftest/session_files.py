"""The files of a session: rows as cases end, properties of the machine, and the reports at its end."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.perftest import gpu_monitor, report_text, session_properties
from tokenclock.perftest.outcome import Outcome
from tokenclock.perftest.report_entry import Decided, Entry, Session
from tokenclock.perftest.row_files import FORMATS, RowFiles, append_csv
from tokenclock.perftest.rows import rows_of
from tokenclock.perftest.settings import Settings
from tokenclock.standard_error import say_on_stderr

__all__ = ["SessionFiles"]


class SessionFiles:
    """Call `add` for each case, `finish` once. Without an output directory nothing is written.

    Args:
        settings: of the session.

    Raises:
        UsageError: the output directory cannot be written to, holds other files by these names, or an unknown format.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started = datetime.now(timezone.utc)
        self._entries: list[tuple[Outcome, tuple[Decided, ...], str]] = []
        self._directory = settings.output_dir
        self._rows: RowFiles | None = None
        self._properties: dict[str, Any] = {}
        unknown = [name for name in settings.log_formats if name not in FORMATS]
        if unknown:
            raise UsageError(f"--perf-log-formats must be {', '.join(FORMATS)}, got {unknown[0]}")
        if self._directory is None or settings.dry_run:
            self._directory = None
            return
        from tokenclock.output_place import usable_directory

        usable_directory(self._directory, "--output-dir")
        self._rows = RowFiles(self._directory, settings.log_formats)
        self._properties = session_properties.collect_properties(self._started)
        try:
            gpu_monitor.write_header(self._directory / gpu_monitor.FILE_NAME)
            self._write_session_data()
        except OSError as error:
            raise UsageError(f"--output-dir {self._directory}: {error.strerror or error}; give another") from error

    def add(self, outcome: Outcome, decisions: Sequence[Decided] = ()) -> None:
        """Write the rows of a case at once, so that a killed session keeps them; a full disk is said, not raised."""
        self._entries.append((outcome, tuple(decisions), ""))
        if self._rows is None:
            return
        try:
            self._rows.add(rows_of(outcome, self._settings.test_prefix), outcome.gpu_samples)
        except (OSError, UsageError) as error:
            self._say(f"rows of {outcome.case.name} are not written: {error}")

    def decide(self, decisions: Sequence[Decided], outcome: Outcome | None = None, accept: str = "") -> None:
        """Put the gate's decisions to the case that was added last, for the reports.

        Args:
            decisions: of that case.
            outcome: the same case with the repeats that the gate asked for; None: there were none.
            accept: the command that makes three more sessions the baseline; empty without a regression.
        """
        self._entries[-1] = (outcome or self._entries[-1][0], tuple(decisions), accept)

    def finish(self) -> Path | None:
        """Write properties, report.html and report.md; the path of report.html, None where it is not written."""
        directory = self._directory
        if directory is None:
            return None
        ended = datetime.now(timezone.utc)
        self._properties["end_timestamp"] = f"{ended:%Y-%m-%d %H:%M:%S}"
        try:
            append_csv(directory / "session_properties.csv", session_properties.COLUMNS, [self._properties])
            self._write_session_data()
            return self._write_reports(directory, ended)
        except OSError as error:
            self._say(f"cannot write {error.filename or directory}: {error.strerror or error}")
        return None

    def _write_session_data(self) -> None:
        directory = self._directory
        assert directory is not None
        with contextlib.suppress(ImportError):  # the CSV says the same
            import yaml

            data = {**self._properties, "options": _plain(self._settings.options)}
            with atomic_write(directory / "session_data.yml") as file:
                file.write(yaml.safe_dump(data, sort_keys=False).encode())

    def _write_reports(self, directory: Path, ended: datetime) -> Path | None:
        entries: list[Entry] = []
        problem = ""
        for outcome, decisions, accept in self._entries:
            page = None
            if not problem:
                try:
                    page = self._run_page(outcome, directory, len(entries) + 1)
                except ImportError as error:
                    problem = f"no report.html: {error.name} is not installed; pip install 'tokenclock[report]'"
            entries.append(Entry(outcome, decisions, page, accept))
        session = Session(entries, self._started, ended, platform.node(), self._settings.test_prefix)
        with atomic_write(directory / "report.md") as file:
            file.write(report_text.render(session).encode())
        path = directory / "report.html"
        if not problem:
            try:
                from tokenclock.perftest import report_page

                report_page.write(session, path)
                return path
            except ImportError as error:
                problem = f"no report.html: {error.name} is not installed; pip install 'tokenclock[report]'"
        self._say(problem)
        return None

    def _run_page(self, outcome: Outcome, directory: Path, number: int) -> str | None:
        """Write the page of a case's results into its folder; where it is, as a link from the report.

        Raises ImportError without plotly; whatever else goes wrong with one page costs that page only.
        """
        from tokenclock.perftest import report_page

        if not outcome.results:
            return None
        is_replay = self._settings.replay_dir is not None  # stored runs stay as they are
        path = directory / f"run-{number}.html" if is_replay else outcome.folder / "run.html"
        try:
            if not report_page.write_run_page(outcome, path):
                return None
        except ImportError:
            raise
        except Exception as error:
            self._say(f"no page of {outcome.case.name}: {type(error).__name__}: {error}")
            return None
        return quote(os.path.relpath(path, directory))

    @staticmethod
    def _say(line: str) -> None:
        say_on_stderr(f"tokenclock performance tests: {line}")


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(name): value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
        for name, value in options.items()
    }
