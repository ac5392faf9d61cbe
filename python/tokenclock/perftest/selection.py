"""Which cases of a list a session runs: ``-R`` and ``--test-model-suites``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case
from tokenclock.perftest.entries import near_matches

__all__ = ["node_id", "of_suites", "searched"]


def node_id(case: Case, prefix: str) -> str:
    """The id of a case's item: with the prefix of the session before it."""
    return f"{prefix}/{case.name}" if prefix else case.name


def searched(cases: Sequence[Case], text: str, prefix: str) -> list[Case]:
    """The cases whose node id holds `text` as it is written; where none does, those in which it is found as a regular
    expression. So dots, plus signs and brackets of a label mean themselves.

    Raises:
        UsageError: no case has it, with the labels that are nearly it; or it is neither a part nor an expression.
    """
    literal = [case for case in cases if text in node_id(case, prefix) or text in case.canonical]
    if literal:
        return literal
    try:
        pattern = re.compile(text)
    except re.error as error:
        near = _near(cases, text)
        raise UsageError(
            f"-R {text}: no test has it in its name, and as an expression it is wrong: {error}{near}"
        ) from None
    found = [case for case in cases if pattern.search(node_id(case, prefix))]
    if not found:
        raise UsageError(f"-R {text}: no test of the list has it in its name{_near(cases, text)}")
    return found


def _near(cases: Sequence[Case], text: str) -> str:
    return near_matches(text, [case.written for case in cases])


def of_suites(cases: Sequence[Case], text: str) -> list[Case]:
    """The cases that have one of the words in their name; words are parted by semicolons or blanks.

    Raises:
        UsageError: no case has one.
    """
    words = text.replace(";", " ").split()

    found = [case for case in cases if any(word in case.name for word in words)]
    if not found:
        raise UsageError(f"--test-model-suites {text}: no test of the list has one of these in its name")
    return found
