"""Test lists: a text file with one test a line, or the YAML database form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.perftest.text_file import read_text

__all__ = ["Entry", "parse_entry", "read_test_list"]

_TIMEOUT = re.compile(r"(.*\S)\s+TIMEOUT\s*\((.*)\)")


@dataclass(frozen=True)
class Entry:
    """One line of a list.

    Args:
        text: node id or label, without anything behind it.
        timeout_s: seconds; None: no limit.
        place: file and line, for messages.
    """

    text: str
    timeout_s: float | None
    place: str


def parse_entry(line: str, place: str) -> Entry | None:
    """An entry of a list; None for a blank line and a comment (``#`` first, or behind a blank).

    Raises:
        UsageError: the time-out is no number of minutes above 0.
    """
    text = re.sub(r"(^|\s)#.*", "", line).strip()
    if not text:
        return None
    found = _TIMEOUT.fullmatch(text)
    if found is None:
        if re.search(r"\sTIMEOUT\b", text):
            raise UsageError(f"{place}: expected TIMEOUT (<minutes>) behind a test, got {text!r}")
        return Entry(text, None, place)
    minutes = found[2].strip()
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", minutes) or float(minutes) <= 0:
        raise UsageError(f"{place}: expected TIMEOUT (<minutes>) with a number above 0, got {minutes!r}")
    return Entry(found[1], float(minutes) * 60, place)


def read_test_list(path: Path) -> list[Entry]:
    """The entries of a list, in order; those of a `.yml` or `.yaml` file whose conditions hold on this machine.

    Raises:
        UsageError: the file cannot be read, holds no test at all, or a condition of the wrong kind.
    """
    if path.suffix in (".yml", ".yaml"):
        from tokenclock.perftest.test_database import read_database

        return read_database(path)
    lines = read_text(path, "--test-list").splitlines()
    found = [parse_entry(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]
    entries = [entry for entry in found if entry is not None]
    if not entries:
        raise UsageError(f"--test-list must name one test a line, got {path}, which names none")
    return entries
