"""Waivers: tests that are known to fail, each with a reason and, where it is to end, a date."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case, case_of
from tokenclock.perftest.text_file import read_text

__all__ = ["Waiver", "read_waivers", "waived"]

_LINE = re.compile(r"(?P<name>\S.*?)\s+SKIP\s*(?:\((?P<reason>.*)\))?\s*(?:UNTIL\s+(?P<until>\S+))?")
_UNTIL = re.compile(r"[;,\s]*\buntil\s+([0-9]{4}-[0-9]{2}-[0-9]{2})\s*")


@dataclass(frozen=True)
class Waiver:
    """One line of the file.

    Args:
        name: node id or label; ``*`` stands for anything.
        reason: why; may be empty.
        until: last day that it counts, UTC; None: for ever.
        place: file and line, for messages.
    """

    name: str
    reason: str
    until: datetime.date | None
    place: str

    def matches(self, case: Case, test_prefix: str = "") -> bool:
        """Whether it names this case: as written, as listed, or in any other order of the label's tokens."""
        name = self.name.removeprefix("full:")
        prefixed = f"{test_prefix}/" if test_prefix else ""
        if prefixed and name.startswith(prefixed):
            name = name[len(prefixed) :]
        node = case.name.partition("[")[0]
        names = (case.name, case.written, case.canonical, f"{node}[{case.canonical}]")
        if name in names:
            return True
        if "*" in name:
            pattern = ".*".join(re.escape(part) for part in name.split("*"))
            return any(re.fullmatch(pattern, one) for one in names)
        try:
            other = case_of(name)
        except UsageError:
            return False
        return other is not None and other.canonical == case.canonical

    def counts(self, today: datetime.date) -> bool:
        """Whether its last day is not over."""
        return self.until is None or today <= self.until


def read_waivers(path: Path) -> list[Waiver]:
    """The waivers of a file: ``<test> SKIP (<reason>)``, where it is to end with ``until 2027-01-31`` in the reason.

    ``UNTIL 2027-01-31`` behind the parenthesis says the same. Blank lines and ``#`` comments are left out.

    Raises:
        UsageError: the file cannot be read, a line has another form, or a date is none.
    """
    found = []
    for number, line in enumerate(read_text(path, "--waives-file").splitlines(), 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text:
            found.append(_waiver(text, f"{path}:{number}"))
    return found


def _waiver(text: str, place: str) -> Waiver:
    match = _LINE.fullmatch(text)
    if match is None:
        raise UsageError(f"{place}: expected <test> SKIP (<reason>), with UNTIL <date> where it ends, got {text!r}")
    reason, until = (match["reason"] or "").strip(), match["until"]
    within = _UNTIL.search(reason)
    if until is None and within is not None:
        until = within[1]
        reason = (reason[: within.start()] + reason[within.end() :]).strip()
    try:
        day = None if until is None else datetime.date.fromisoformat(until)
    except ValueError:
        raise UsageError(f"{place}: expected a date such as 2027-01-31, got {until}") from None
    return Waiver(match["name"], reason, day, place)


def waived(
    cases: Sequence[Case], waivers: Sequence[Waiver], today: datetime.date, test_prefix: str = ""
) -> tuple[dict[Case, Waiver], list[Waiver]]:
    """Which cases are waived, and which of the waivers that name a case are over.

    Args:
        cases: all of the list.
        waivers: of the file.
        today: UTC.
        test_prefix: that the waivers may carry.

    Raises:
        UsageError: a waiver names no case of the list.
    """
    found: dict[Case, Waiver] = {}
    over = []
    for waiver in waivers:
        named = [case for case in cases if waiver.matches(case, test_prefix)]
        if not named:
            raise UsageError(_no_case(waiver, cases))
        if waiver.counts(today):
            found.update((case, waiver) for case in named if case not in found)
        else:
            over.append(waiver)
    return found, over


def _no_case(waiver: Waiver, cases: Sequence[Case]) -> str:
    from difflib import get_close_matches

    known = [name for case in cases for name in (case.name, case.written)]
    close = get_close_matches(waiver.name, known, n=2, cutoff=0.6)
    hint = f"; near: {', '.join(close)}" if close else ""
    return f"{waiver.place}: expected a waiver of a listed test, got {waiver.name}, which is not in the list{hint}"
