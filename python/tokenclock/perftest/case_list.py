"""From the entries of a list to cases: what cannot be read is said with what is near."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case, case_of
from tokenclock.perftest.entry_problems import corrected, form_problem
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
        UsageError: an entry cannot be read; names the line of the list.
    """
    cases: dict[tuple[str, str], Case] = {}
    others = []
    for entry in entries:
        bare = _bare(entry.text, test_prefix)
        if (problem := form_problem(bare)) is not None:
            raise UsageError(f"{entry.place}: {problem.text}")
        try:
            case = case_of(bare, entry.timeout_s)
        except LabelError as error:
            raise UsageError(f"{entry.place}: {error}") from None
        if case is None:
            others.append(entry)
        else:
            cases.setdefault((case.name.partition("[")[0], case.canonical), case)
    return CaseList(tuple(cases.values()), tuple(others))


def _bare(text: str, test_prefix: str) -> str:
    return text.removeprefix(f"{test_prefix}/") if test_prefix else text


def corrections(
    entries: Iterable[Entry], test_prefix: str = "", models: Container[str] = (), known: Iterable[str] = ()
) -> list[str]:
    """Lines of a diff: each entry that cannot be used, and behind it the nearest that can, if there is one.

    Args:
        entries: of the list.
        test_prefix: that they may carry.
        models, known: names that labels may have; of none, models are not looked at.
    """
    found = []
    names = list(known)
    for entry in entries:
        bare = _bare(entry.text, test_prefix)
        problem = corrected(bare, models, names)
        if problem is not None:
            found.append(f"- {entry.text}")
            fixed = problem.correction
            found.append(f"  # {problem.text}" if fixed is None else f"+ {entry.text.removesuffix(bare)}{fixed}")
    return found


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
