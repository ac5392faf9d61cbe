"""One performance test as pytest's item: runs its case, adds it to the session's files, and holds it to the gate."""

from __future__ import annotations

import hashlib
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokenclock.perftest.case import Case

if TYPE_CHECKING:
    from tokenclock.perftest.outcome import Outcome
    from tokenclock.perftest.perf_session import PerfSession
    from tokenclock.perftest.waives import Waiver

__all__ = ["PerfFailure", "PerfItem", "folder_name", "new_folder"]


class PerfFailure(Exception):
    """The case was not measured, or it is slower than it was; the text is all there is to say."""


class PerfItem(pytest.Item):
    """A test that no file of tests defines.

    Args:
        case: what it runs.
        perf_session: that it belongs to.
        waiver: why it is not run now; None: it is.
        never: why it can never be run here; empty: it can.
    """

    def __init__(
        self, *, case: Case, perf_session: PerfSession, waiver: Waiver | None, never: str = "", **rest: Any
    ) -> None:
        super().__init__(**rest)
        self.case, self._session, self._waiver, self._never = case, perf_session, waiver, never

    def runtest(self) -> None:
        """Run the case. Raises PerfFailure where it fails, is invalid, or has a regression."""
        from tokenclock.errors import UsageError
        from tokenclock.perftest import junit
        from tokenclock.perftest.outcome import SKIPPED, VALID
        from tokenclock.perftest.report_entry import IF_MEANT
        from tokenclock.perftest.run_case import CaseRun, run_case, skipped_case

        files, settings = self._session.files, self._session.settings
        is_run = self._waiver is None and not self._never and settings.replay_dir is None
        folder = (
            new_folder(self._session.folder, self.case) if is_run else self._session.folder / folder_name(self.case)
        )
        if self._waiver is not None or self._never:
            reason = self._never
            if self._waiver is not None:
                reason = f"waived: {self._waiver.reason or self._waiver.place}"
            files.add(skipped_case(self.case, settings, folder, reason))
            pytest.skip(reason)
        run = None
        if settings.replay_dir is None:
            run = CaseRun(self.case, settings, folder, say=_say)
            try:
                outcome = run.run()
            except KeyboardInterrupt:
                files.add(run.outcome)
                raise
        else:
            outcome = run_case(self.case, settings, folder, say=_say)
        files.add(outcome)
        decisions: list[Any] = []
        accept = ""
        if settings.history is not None:
            from tokenclock.perftest.gate_case import gate_case

            try:
                decisions, accept = gate_case(outcome, settings, None if run is None else run.again)
            except UsageError as error:
                raise PerfFailure(str(error)) from None
            outcome = outcome if run is None else run.outcome
            files.decide(decisions, outcome, accept)
        self.user_properties += junit.properties(outcome, decisions)
        _say_outcome(outcome, decisions)
        if outcome.state == SKIPPED:
            pytest.skip(outcome.reason)
        if outcome.state != VALID:
            raise PerfFailure(f"{outcome.state}: {outcome.reason}")
        regressions = [one for one in decisions if one.verdict == "regression"]
        if regressions:
            lines = [f"regression: {one.metric}: {one.reason}" for one in regressions]
            raise PerfFailure("\n".join([*lines, f"{IF_MEANT}: {accept}"]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The reason alone; a traceback only for what nobody foresaw."""
        if isinstance(excinfo.value, PerfFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it comes from: the list."""
        return self._session.list_path, None, self.name


def folder_name(case: Case) -> str:
    """Of the folder of a case: begins with its canonical label, and is short enough for any file system."""
    digest = hashlib.sha256(case.canonical.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9._+-]+', '_', case.canonical)[:100]}-{digest}"


def new_folder(top: Path, case: Case) -> Path:
    """Make a folder for a run of a case that nobody else has: a later session, or one beside this, gets another.

    Raises:
        OSError: it cannot be made.
    """
    name = folder_name(case)
    for number in itertools.count(1):
        folder = top / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise AssertionError("never comes here")


def _say(line: str) -> None:
    print(line, flush=True)


def _say_outcome(outcome: Outcome, decisions: list[Any]) -> None:
    networks = list(dict.fromkeys(row.network for row in outcome.rows))
    for network in networks:
        if len(networks) > 1:
            print(network)
        for row in outcome.rows:
            if row.network == network and row.value is not None:
                print(f"  {row.metric_type}: {row.value:.6g} {row.unit}")
    lacking = dict.fromkeys(row.metric_type for row in outcome.rows if row.value is None)
    if lacking:
        print(f"  without a value: {', '.join(lacking)}")
    if decisions:
        for name, why in outcome.ungated.items():
            print(f"  {name}: not gated: {why}")
    for one in decisions:
        print(f"  {one.metric}: {one.verdict}{': ' + one.reason if one.reason else ''}")
