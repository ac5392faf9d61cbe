"""From the entries of a list to cases: what cannot be read is said with what is near."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case, case_of
from tokenclock.perftest.label import LabelError
from tokenclock.perftest.test_list import Entry

__all__ = ["CaseList", "corrections", "is_chosen", "read_cases"]


@dataclass(frozen=True)
class CaseList:
    """Cases of a list, and its entries of another kind, which name tests that pytest collects."""

    cases: tuple[Case, ...]
    others: tuple[Entry, ...]


def read_cases(entries: Sequence[Entry], test_prefix: str = "") -> CaseList:
    """The cases of a list in order, each canonical label once.

    Raises:
        UsageError: a label cannot be read; names the line of the list.
    """
    cases: dict[tuple[str, str], Case] = {}
    others = []
    for entry in entries:
        try:
            case = case_of(_bare(entry.text, test_prefix), entry.timeout_s)
        except LabelError as error:
            raise UsageError(f"{entry.place}: {error}") from None
        if case is None:
            others.append(entry)
        else:
            cases.setdefault((case.name.partition("[")[0], case.canonical), case)
    return CaseList(tuple(cases.values()), tuple(others))


def _bare(text: str, test_prefix: str) -> str:
    return text.removeprefix(f"{test_prefix}/") if test_prefix else text


def corrections(entries: Iterable[Entry], test_prefix: str = "") -> list[str]:
    """Lines of a diff: each entry that cannot be read, and behind it the nearest that can, if there is one."""
    found = []
    for entry in entries:
        bare = _bare(entry.text, test_prefix)
        try:
            case_of(bare)
        except LabelError as error:
            found.append(f"- {entry.text}")
            fixed = _corrected(error)
            found.append(f"+ {entry.text.replace(error.label, fixed)}" if fixed else f"  # {error.problem}")
    return found


def _corrected(error: LabelError | None) -> str | None:
    """The label with one correction after the other, until it can be read."""
    for _ in range(8):
        if error is None or error.correction is None:
            return None
        label = error.correction
        try:
            case_of(label)
            return label
        except LabelError as next_error:
            error = next_error
    return None


def is_chosen(node: str, canonical_node: str, regexp: str | None, suites: str | None) -> bool:
    """Whether a test is run.

    Args:
        node: name of the test with its prefix, as written.
        canonical_node: the same with the canonical label.
        regexp: a regular expression to search for, or text as it is: a label's dots and plus signs need no escape.
        suites: texts divided by semicolons or blanks, of which the name must have one.
    """
    names = (node, canonical_node)
    if regexp and not any(regexp in name for name in names):
        try:
            if not any(re.search(regexp, name) for name in names):
                return False
        except re.error:
            return False
    texts = re.split(r"[;\s]+", suites.strip(";" + " ")) if suites and suites.strip("; ") else []
    return not texts or any(text in name for text in texts for name in names)
