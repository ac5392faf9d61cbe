"""Test lists: text with an entry a line, or YAML blocks with conditions on the machine."""

from __future__ import annotations

import re
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case
from tokenclock.perftest.entries import Entry, case_of, near_matches, read_entry

__all__ = ["Listed", "read_test_list"]

_COMMENT = re.compile(r"(?:^|\s)#.*")


class Listed:
    """What a list holds for this session.

    Args:
        cases: in order, each once.
        notes: what was left out, and why; a line each.
    """

    def __init__(self, cases: list[Case], notes: list[str]) -> None:
        self.cases, self.notes = cases, notes


def read_test_list(path: Path, prefix: str, *, corrects: bool = False) -> Listed:
    """Read a test list.

    Args:
        path: a text file, or YAML of the database form (.yml, .yaml).
        prefix: of the session; entries of another prefix are left out.
        corrects: name what an entry that does not parse was probably meant to be.

    Raises:
        UsageError: it cannot be read, is empty, an entry does not parse, or a condition is of the wrong kind.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--test-list: cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    notes: list[str] = []
    if path.suffix in (".yml", ".yaml"):
        from tokenclock.perftest.test_database import entries_of_database

        entries = entries_of_database(path, notes)
    else:
        entries = _entries_of_text(text, path)
        if not entries:
            raise UsageError(f"--test-list: {path} has no entry: expected perf/test_perf.py::test_perf[LABEL] a line")
    return Listed(_cases(entries, prefix, notes, corrects), notes)


def _entries_of_text(text: str, path: Path) -> list[Entry]:
    lines = enumerate(text.splitlines(), start=1)
    stripped = [(number, _COMMENT.sub("", line).strip()) for number, line in lines]
    return [read_entry(line, f"{path}:{number}") for number, line in stripped if line]


def _cases(entries: list[Entry], prefix: str, notes: list[str], corrects: bool) -> list[Case]:
    cases: dict[str, Case] = {}
    n_elsewhere = 0
    for entry in entries:
        if entry.prefix and prefix and entry.prefix != prefix:
            n_elsewhere += 1
            continue
        try:
            case = case_of(entry)
        except UsageError as error:
            near = near_matches(entry.label, [other.label for other in entries if other is not entry])
            raise UsageError(f"{error}{_correction(near) if corrects else near}") from None
        if case.canonical in cases:
            notes.append(f"{entry.where} asks again for {case.canonical}: it is run once")
        else:
            cases[case.canonical] = case
    if n_elsewhere:
        notes.append(f"{n_elsewhere} entries are of another prefix than {prefix}")
    return list(cases.values())


def _correction(near: str) -> str:
    return near.replace("; near:", "\n    instead, perhaps:") if near else ""
