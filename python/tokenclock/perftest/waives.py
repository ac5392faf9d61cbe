"""Waivers: tests that are known not to pass, each with a reason and, if one likes, a last day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case
from tokenclock.perftest.entries import case_of, near_matches, read_entry

__all__ = ["Waiver", "read_waivers", "waived"]

_LINE = re.compile(r"^(?P<test>\S+)\s+SKIP\b\s*(?:\((?P<reason>.*)\))?\s*(?:UNTIL\s+(?P<until>\S+))?$")


@dataclass(frozen=True)
class Waiver:
    """One line: canonical label, reason, the last day on which it holds (None: for good), and where it stands."""

    canonical: str
    reason: str
    until: date | None
    where: str


def read_waivers(path: Path) -> list[Waiver]:
    """Read a file of lines ``TEST SKIP (REASON) [UNTIL YYYY-MM-DD]``.

    Raises:
        UsageError: it cannot be read, or a line is none of these.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--waives-file: cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        where = f"{path}:{number}"
        match = _LINE.match(text)
        if match is None:
            raise UsageError(f"{where}: expected TEST SKIP (REASON) [UNTIL YYYY-MM-DD], got {text}")
        until = None
        if match["until"]:
            try:
                until = date.fromisoformat(match["until"])
            except ValueError:
                raise UsageError(f"{where}: UNTIL must be a day YYYY-MM-DD, got {match['until']}") from None
        case = case_of(read_entry(match["test"], where))
        found.append(Waiver(case.canonical, match["reason"] or "no reason given", until, where))
    return found


def waived(cases: Sequence[Case], waivers: Sequence[Waiver], today: date) -> tuple[dict[str, str], list[str]]:
    """Which cases are waived.

    Args:
        cases: of the whole list.
        waivers: as read.
        today: after a waiver's last day it holds no more.

    Returns:
        canonical label -> reason, and notes on waivers that have ended.

    Raises:
        UsageError: a waiver matches no case.
    """
    known = {case.canonical for case in cases}
    reasons: dict[str, str] = {}
    notes = []
    for waiver in waivers:
        if waiver.canonical not in known:
            near = near_matches(waiver.canonical, sorted(known))
            raise UsageError(f"{waiver.where}: no test of the list is {waiver.canonical}{near}; take the line out")
        if waiver.until is not None and waiver.until < today:
            notes.append(f"{waiver.where}: the waiver ended on {waiver.until}; the test counts again")
            continue
        until = f" (until {waiver.until})" if waiver.until else ""
        reasons[waiver.canonical] = f"waived: {waiver.reason}{until}"
    return reasons, notes
