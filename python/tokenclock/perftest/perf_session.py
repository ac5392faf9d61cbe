"""A session of performance tests: the cases of the list become items, whose results go to the session's files."""

from __future__ import annotations

import datetime
import difflib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.case_list import corrections, is_chosen, read_cases
from tokenclock.perftest.entry_problems import near_test_name
from tokenclock.perftest.models import hold_models
from tokenclock.perftest.named_cases import named_cases
from tokenclock.perftest.options import DESTINATIONS
from tokenclock.perftest.perf_item import PerfItem, folder_name
from tokenclock.perftest.session_settings import settings_of
from tokenclock.perftest.test_list import read_test_list
from tokenclock.perftest.waives import Waiver, read_waivers, waived
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.perftest.session_files import SessionFiles

__all__ = ["PerfSession"]


class PerfSession:
    """A plugin that is registered where performance tests are asked for.

    Args:
        config: of pytest.

    Raises:
        UsageError: anything that was given cannot be used; nothing has been written then.
    """

    files: SessionFiles
    folder: Path

    def __init__(self, config: pytest.Config) -> None:
        given = {name: config.getoption(name, None) for name in DESTINATIONS}
        if not given["tokenclock_test_list"]:
            raise UsageError("--perf makes its tests of a list: give --test-list FILE")
        self.settings = settings_of(given)
        self.list_path = Path(given["tokenclock_test_list"]).absolute()
        self._regexp, self._suites = given["tokenclock_regexp"], given["tokenclock_test_model_suites"]
        self._temporary: Path | None = None
        self._report: Path | None = None
        self._started = False
        entries = read_test_list(Path(given["tokenclock_test_list"]))
        prefix = self.settings.test_prefix
        if given["tokenclock_apply_test_list_correction"]:
            models = self.settings.models
            lines = corrections(entries, prefix, models, models)
            for line in lines:
                say_on_stderr(line)
            if lines:
                n = sum(line.startswith("- ") for line in lines)
                some, them = ("an entry", "it") if n == 1 else (f"{n} entries", "them")
                raise UsageError(f"{self.list_path.name} has {some} that cannot be used: correct {them} as shown above")
        found = read_cases(entries, prefix)
        self._others = found.others
        self._cases = [case for case in found.cases if given["tokenclock_perf"] or isinstance(case.label, ServerCase)]
        self._named = self._take_named(config)
        waives = given["tokenclock_waives_file"]
        waivers = [] if waives is None else read_waivers(Path(waives))
        today = datetime.datetime.now(datetime.timezone.utc).date()
        self._waived, over = waived(found.cases, waivers, today, prefix)
        for waiver in over:
            say_on_stderr(f"{waiver.place}: the waiver of {waiver.name} ended on {waiver.until}; the test is run")
        if self._regexp and any(self._regexp in node for case in self._cases for node in self._nodes(case)):
            self._regexp = re.escape(self._regexp)  # it is a part of a name: its dots and plus signs mean themselves
        chosen = [case for case in self._cases if self._is_chosen(case)]
        self._check_choice(chosen, found.cases)
        self._never: dict[Case, str] = {}
        to_run = [case for case in chosen if case not in self._waived]
        if self.settings.replay_dir is None:
            self._check_cases(to_run)
        elif to_run:
            from tokenclock.perftest.replay import hold_stored_runs

            hold_stored_runs(self.settings.replay_dir, to_run)
        if not entries:
            say_on_stderr(f"{self.list_path}: no block has a condition that holds on this machine")
        if not self._others:
            config.args[:] = []  # nothing that pytest could collect is in the list

    def _take_named(self, config: pytest.Config) -> set[Case]:
        """The cases that positional arguments name, which pytest is not to look for; empty where none do."""
        named, rest = named_cases(config.option.file_or_dir, self._cases, has_others=bool(self._others))
        if named:
            config.args[:] = rest
            if not rest:
                self._others = ()
        return named

    def _check_cases(self, cases: Sequence[Case]) -> None:
        """Note which cases can never run here; raise UsageError where one that can lacks something."""
        from tokenclock.perftest.before_running import never_run
        from tokenclock.perftest.tools_needed import hold_runtime

        hold_runtime(self.settings.runtime)
        self._never = never_run(cases, self.settings)
        if not self.settings.dry_run:
            hold_models((case for case in cases if case not in self._never), self.settings.models)

    def _check_choice(self, chosen: Sequence[Case], listed: Sequence[Case]) -> None:
        """Raise UsageError where nothing is left to run, for a reason that nobody means."""
        if chosen or self._others or not listed:
            return
        if not self._cases:
            raise UsageError(f"the tests of {self.list_path.name} are performance tests: give --perf to run them")
        flag, text = ("-R", self._regexp) if self._regexp else ("--test-model-suites", self._suites)
        close = difflib.get_close_matches(text, [case.written for case in self._cases], n=3, cutoff=0.6)
        hint = f"; near: {', '.join(close)}" if close else ""
        raise UsageError(f"{flag} {text}: no test of the list has it in its name{hint}")

    def _node(self, case: Case, label: str) -> str:
        prefix = f"{self.settings.test_prefix}/" if self.settings.test_prefix else ""
        return f"{prefix}{case.name.partition('[')[0]}[{label}]"

    def _is_chosen(self, case: Case) -> bool:
        is_named = not self._named or case in self._named
        return is_named and is_chosen(*self._nodes(case), self._regexp, self._suites)

    def _nodes(self, case: Case) -> tuple[str, str]:
        return self._node(case, case.written), self._node(case, case.canonical)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """The items of the list, those that pytest collected and the list names among them."""
        kept, left = self._collected(items)
        made: list[pytest.Item] = []
        for case in self._cases:
            item = PerfItem.from_parent(
                session,
                name=self._node(case, case.written).rpartition("::")[2],
                nodeid=self._node(case, case.written),
                case=case,
                perf_session=self,
                waiver=self._waiver(case),
                never=self._never.get(case, ""),
            )
            (made if self._is_chosen(case) else left).append(item)
        ours: list[pytest.Item | pytest.Collector] = [item for item in (*made, *left) if isinstance(item, PerfItem)]
        report = pytest.CollectReport(nodeid="", outcome="passed", longrepr=None, result=ours)
        config.hook.pytest_collectreport(report=report)  # they are counted as collected
        items[:] = [*made, *kept]
        if left:
            config.hook.pytest_deselected(items=left)

    def pytest_report_collectionfinish(self) -> list[str]:
        """Lines about cases that can never run here, and will be skipped."""
        return [f"will be skipped: {self._node(case, case.written)}: {why}" for case, why in self._never.items()]

    def _waiver(self, case: Case) -> Waiver | None:
        return self._waived.get(case)

    def _collected(self, items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
        """What pytest collected: named by the list and chosen, and the rest."""
        by_name: dict[str, list[pytest.Item]] = {}
        for item in items:
            for name in (item.nodeid, item.nodeid.partition("[")[0]):
                by_name.setdefault(name, []).append(item)
        named: dict[int, pytest.Item] = {}
        for entry in self._others:
            found = by_name.get(entry.text, [])
            if not found:
                ours = near_test_name(entry.text)
                close = difflib.get_close_matches(entry.text, by_name, n=2, cutoff=0.6) if ours is None else [ours]
                hint = f"; near: {', '.join(close)}" if close else ""
                raise pytest.UsageError(f"{entry.place}: no test is called {entry.text}{hint}")
            named.update((id(item), item) for item in found)
        kept = [item for item in named.values() if is_chosen(item.nodeid, item.nodeid, self._regexp, self._suites)]
        chosen = {id(item) for item in kept}
        return kept, [item for item in items if id(item) not in chosen]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Check the history and the output's place before the first case; with `--dry-run` print commands instead."""
        if session.config.option.collectonly or session.testsfailed:
            return None
        try:
            if self.settings.dry_run:
                self._print_commands(session)
                return True
            if self.settings.history is not None:
                from tokenclock.perftest.before_running import hold_history

                hold_history(self.settings.history, is_read=self.settings.replay_dir is not None)
            from tokenclock.perftest.session_files import SessionFiles

            self.files = SessionFiles(self.settings)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        self._started = True
        self.folder = self.settings.output_dir or self._made_folder()
        return None

    def _made_folder(self) -> Path:
        self._temporary = Path(tempfile.mkdtemp(prefix="tokenclock-perf-"))
        return self._temporary

    def _print_commands(self, session: pytest.Session) -> None:
        from tokenclock.perftest.commands import commands_of, written_command

        output = self.settings.output_dir or Path("output")
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        write = print if reporter is None else reporter.write_line
        for item in session.items:
            if isinstance(item, PerfItem):
                lines = [f"# {item.nodeid}"]
                if (waiver := self._waiver(item.case)) is not None:
                    lines.append(f"# waived: {waiver.reason}")
                elif (why := self._never.get(item.case)) is not None:
                    lines.append(f"# skipped: {why}")
                else:
                    commands = commands_of(item.case, self.settings, output / folder_name(item.case))
                    lines += [written_command(command) for command in commands]
                for line in lines:
                    write(line)

    def pytest_sessionfinish(self) -> None:
        """Write the session's reports."""
        if self._started:
            self._report = self.files.finish()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the report is."""
        if self._report is not None:
            terminalreporter.write_line(f"report: {self._report}")
