"""A session of performance tests: from options to items, and what is said and written around them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import TokenclockError, UsageError
from tokenclock.perftest.case import Case
from tokenclock.perftest.commands import commands_of, written_command
from tokenclock.perftest.item import PerfItem, case_folder
from tokenclock.perftest.models import check_models, read_models
from tokenclock.perftest.selection import node_id, of_suites, searched
from tokenclock.perftest.session_files import SessionFiles
from tokenclock.perftest.settings import Settings
from tokenclock.perftest.test_list import read_test_list
from tokenclock.perftest.waives import read_waivers, waived

__all__ = ["PerfSession"]


class PerfSession:
    """Plugin of a session with ``--perf``.

    Args:
        config: of pytest.

    Raises:
        UsageError: an option or a file is wrong.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.notes: list[str] = []
        self._scratch: Path | None = None
        self._report: Path | None = None
        self.settings = _settings(config)
        prefix, path = self.settings.test_prefix, config.getoption("--test-list")
        if path is None:
            raise UsageError(
                "--perf needs --test-list FILE: the tests to run, perf/test_perf.py::test_perf[LABEL] a line"
            )
        listed = read_test_list(Path(path), prefix, corrects=config.getoption("--apply-test-list-correction"))
        self.notes += listed.notes
        cases = listed.cases
        self.waived: dict[str, str] = {}
        if config.getoption("--waives-file"):
            waivers = read_waivers(Path(config.getoption("--waives-file")))
            self.waived, ended = waived(cases, waivers, date.today())
            self.notes += ended
        if config.getoption("--regexp"):
            cases = searched(cases, config.getoption("--regexp"), prefix)
        if config.getoption("--test-model-suites"):
            cases = of_suites(cases, config.getoption("--test-model-suites"))
        self.cases = cases
        if not self.settings.dry_run and self.settings.replay_dir is None:
            models = config.getoption("--perf-models")
            has = f"{models} has it not" if models else "give --perf-models FILE with a line NAME: DIRECTORY"
            check_models([case for case in cases if case.canonical not in self.waived], self.settings.models, has)
        if self.settings.output_dir is None and not self.settings.dry_run:
            self._scratch = Path(tempfile.mkdtemp(prefix="tokenclock-perf-"))
        self.files = SessionFiles(self.settings)

    def folder_of(self, case: Case) -> Path:
        """Where everything of a case lies."""
        return case_folder(self.settings.output_dir or self._scratch or Path("OUTPUT_DIR"), case)

    def say(self, line: str) -> None:
        """A line for whoever watches: part of the item's output."""
        print(line, flush=True)

    # --- hooks of pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self) -> bool:
        """Items come from the list alone."""
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """One item a case."""
        prefix = self.settings.test_prefix
        items[:] = [PerfItem.of(session, self, case, node_id(case, prefix)) for case in self.cases]
        report = pytest.CollectReport(nodeid="", outcome="passed", longrepr=None, result=[*items])
        session.ihook.pytest_collectreport(report=report)  # so that they are counted as collected

    def pytest_report_collectionfinish(self) -> list[str]:
        """What was left out of the list, and why."""
        return [f"tokenclock: {note}" for note in self.notes]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """With --dry-run the commands are printed in place of a run."""
        if not self.settings.dry_run:
            return None
        write = session.config.get_terminal_writer().line
        for case in self.cases:
            write("")
            write(node_id(case, self.settings.test_prefix), bold=True)
            write(f"  canonical: {case.canonical}")
            if case.canonical in self.waived:
                write(f"  {self.waived[case.canonical]}")
            try:
                for command in commands_of(case, self.settings, self.folder_of(case)):
                    write(f"  {command.what}: {written_command(command)}")
            except TokenclockError as error:
                write(f"  not run: {error}")
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, Any, Any]:
        """Reports, also after Ctrl-C."""
        self._report = self.files.finish()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Where the reports are."""
        if self.settings.output_dir is not None and not self.settings.dry_run:
            shown = self._report or self.settings.output_dir / "report.md"
            terminalreporter.write_line(f"tokenclock: report in {shown}")


def _settings(config: pytest.Config) -> Settings:
    option = config.getoption
    repeats = option("--perf-repeats")
    max_repeats = option("--max-repeats")
    if repeats < 1:
        raise UsageError(f"--perf-repeats must be 1 or more, got {repeats}")
    if max_repeats is not None and max_repeats < repeats:
        raise UsageError(f"--max-repeats must be at least --perf-repeats {repeats}, got {max_repeats}")
    replay = option("--replay")
    if replay is not None and not replay.is_dir():
        raise UsageError(
            f"--replay must be the --output-dir of an earlier session, got {replay}, which is no directory"
        )
    models = read_models(option("--perf-models"))
    dry_run = option("--dry-run")
    flags = ("--test-list", "--test-prefix", "--regexp", "--waives-file", "--test-model-suites", "--perf-models")
    return Settings(
        output_dir=option("--output-dir"),
        log_formats=tuple(dict.fromkeys(option("--perf-log-formats") or ())),
        test_prefix=option("--test-prefix").strip("/"),
        models=_Unknown(models) if dry_run else models,
        dry_run=dry_run,
        replay_dir=replay,
        history=option("--perf-history"),
        repeats=repeats,
        max_repeats=max_repeats or repeats,
        runtime=option("--perf-runtime"),
        external=option("--perf-external"),
        lora_dir=option("--perf-lora-dir"),
        config_folder=option("--perf-config-folder"),
        options={flag.lstrip("-"): option(flag) for flag in flags if option(flag)},
    )


class _Unknown(dict[str, str]):
    """Models of a dry run: one without a place is written as MODELS/<name>."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"MODELS/{name}"
