"""The pytest item of one case."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokenclock.errors import TokenclockError
from tokenclock.perftest import junit
from tokenclock.perftest.case import Case
from tokenclock.perftest.outcome import INVALID, SKIPPED, VALID, Outcome
from tokenclock.perftest.run_case import CaseRun, run_case

if TYPE_CHECKING:
    from tokenclock.perftest.session import PerfSession

__all__ = ["PerfItem", "case_folder"]

_LONGEST_NAME = 120  # characters; file systems take 255 bytes, and files in the folder have names of their own


class CaseFailed(Exception):
    """A case that did not end well: the reason, for a report without traceback."""


class PerfItem(pytest.Item):
    """One case: run, written down, and gated."""

    def __init__(self, *, perf: PerfSession, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._perf, self.case = perf, case

    @classmethod
    def of(cls, session: pytest.Session, perf: PerfSession, case: Case, nodeid: str) -> PerfItem:
        """The item of a case with the node id as listed."""
        place = session.config.rootpath / nodeid.partition("::")[0]  # where the flow has a file; here is none
        item: PerfItem = cls.from_parent(session, name=case.name, nodeid=nodeid, path=place, perf=perf, case=case)
        return item

    def setup(self) -> None:
        """A waived case leaves its rows too."""
        reason = self._perf.waived.get(self.case.canonical)
        if reason is not None:
            self._perf.files.add(Outcome(self.case, SKIPPED, reason, (), (), (), self._perf.folder_of(self.case)))
            pytest.skip(reason)

    def runtest(self) -> None:
        """Run the case. Raises CaseFailed for anything but a valid run without regression."""
        perf, settings = self._perf, self._perf.settings
        folder = perf.folder_of(self.case)
        run = None
        if settings.replay_dir is None:
            run = CaseRun(self.case, settings, folder, say=perf.say)
            outcome = run.run()
        else:
            outcome = run_case(self.case, settings, folder, say=perf.say)
        perf.files.add(outcome)
        decisions: Sequence[Any] = ()
        if settings.history is not None and settings.replay_dir is None:
            from tokenclock.perftest.gate_case import gate_case

            decisions = gate_case(outcome, settings, run.again if run is not None else None)
            outcome = run.outcome if run is not None else outcome
            perf.files.decide(decisions, outcome)
        self.user_properties += junit.properties(outcome, decisions)
        for line in _lines(outcome, decisions):
            perf.say(line)
        if outcome.state == SKIPPED:
            pytest.skip(outcome.reason)
        if outcome.state != VALID:
            what = "measured, but not to be trusted" if outcome.state == INVALID else outcome.state
            raise CaseFailed(f"{what}: {outcome.reason}\neverything of it is in {folder}")
        worse = [one for one in decisions if one.verdict == "regression"]
        if worse:
            raise CaseFailed("\n".join(f"regression of {one.metric}: {one.reason}" for one in worse))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The reason alone for what is no defect of the test."""
        if isinstance(excinfo.value, (CaseFailed, TokenclockError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """A place without a line: a case stands in a list, not in a file."""
        return self.path, None, ""


def case_folder(top: Path, case: Case) -> Path:
    """A folder for a case by its canonical label; short enough, and its own."""
    name = re.sub(r"[^A-Za-z0-9._,+=:-]", "_", case.canonical)
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{hashlib.sha256(case.canonical.encode()).hexdigest()[:8]}"
    return top / "cases" / name


def _lines(outcome: Outcome, decisions: Sequence[Any]) -> list[str]:
    """The figures, one a line, and what the gate says of them; for the output of the test."""
    lines: list[str] = []
    networks = list(dict.fromkeys(row.network for row in outcome.rows))
    for network in networks:
        lines += [f"  {network}"] if len(networks) > 1 else []
        for row in outcome.rows:
            if row.network == network and row.value is not None:
                lines.append(f"  {row.metric_type}: {row.value:.6g} {row.unit}")
    lacking = [row.metric_type for row in outcome.rows if row.value is None]
    if lacking:
        lines.append(f"  without a value: {', '.join(dict.fromkeys(lacking))}")
    return lines + [f"  {one.metric}: {one.verdict}{': ' + one.reason if one.reason else ''}" for one in decisions]
