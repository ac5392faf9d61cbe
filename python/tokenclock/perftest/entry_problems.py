"""What is wrong with an entry of a test list, and the nearest entry that could be meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass

from tokenclock.perftest.case import CASE_PREFIX, SERVER_PREFIX, case_of
from tokenclock.perftest.label import Label, LabelError

__all__ = ["Problem", "corrected", "form_problem", "near_test_name"]

_MOST_CORRECTIONS = 8
_BEHIND = re.compile(r"(?P<test>.*\S)\s+(?P<word>[A-Za-z_-]+)\s*(?P<minutes>\([^()]*\))")
_OPEN = re.compile(r"(?:.*/)?perf/test_perf(?:_sanity)?\.py::test_\w+\[[^\]]*")


@dataclass(frozen=True)
class Problem:
    """One line on what is wrong, and the entry with it mended; None where nothing is near."""

    text: str
    correction: str | None


def form_problem(text: str) -> Problem | None:
    """What is wrong around a label: a misspelt TIMEOUT, a bracket that is not closed; None where nothing is."""
    behind = _BEHIND.fullmatch(text)
    if behind is not None and difflib.SequenceMatcher(None, behind["word"].upper(), "TIMEOUT").ratio() >= 0.7:
        got = f"{behind['word']} {behind['minutes']}"
        problem = f"expected TIMEOUT (<minutes>) behind a test, got {got!r}; near: TIMEOUT"
        return Problem(problem, f"{behind['test']} TIMEOUT {behind['minutes']}")
    if _OPEN.fullmatch(text):
        return Problem(f"expected ] behind the label, got {text!r}; near: {text}]", f"{text}]")
    return None


def near_test_name(text: str) -> str | None:
    """The entry with the name of our tests in place of one that is nearly that; None where it is not near."""
    name, bracket, label = text.partition("[")
    close = difflib.get_close_matches(name, (CASE_PREFIX, SERVER_PREFIX), n=1, cutoff=0.85)
    if not bracket or not close or name == close[0]:
        return None
    return f"{close[0]}[{label}"


def corrected(text: str, models: Container[str] = (), known: Iterable[str] = ()) -> Problem | None:
    """The first problem of an entry, and the entry with all of them mended; None where it has none.

    Args:
        text: without test prefix and time-out.
        models: model names that labels may have.
        known: the same, to look for near ones.
    """
    names, first, now = list(known), None, text
    for _ in range(_MOST_CORRECTIONS):
        problem = _problem(now, models, names)
        if problem is None:
            return None if first is None else Problem(first.text, now)
        first = first or problem
        if problem.correction is None:
            break
        now = problem.correction
    return None if first is None else Problem(first.text, None)


def _problem(text: str, models: Container[str], names: list[str]) -> Problem | None:
    test = re.sub(r"\s+TIMEOUT \([^()]*\)$", "", text)
    behind = text[len(test) :]
    found = form_problem(test)
    if found is not None:
        return _with(found, behind)
    try:
        case = case_of(test)
    except LabelError as error:
        fixed = None if error.correction is None else test.replace(error.label, error.correction)
        return _with(Problem(error.problem, fixed), behind)
    if case is None:
        near = near_test_name(test)
        return None if near is None else _with(Problem(f"no test is called {test}; near: {near}", near), behind)
    if not names or not isinstance(case.label, Label) or case.label.model in models:
        return None
    close = difflib.get_close_matches(case.label.model, names, n=1, cutoff=0.6)
    fixed = None if not close else test.replace(case.written, close[0] + case.written[len(case.label.model) :])
    return _with(Problem(f"no model {case.label.model}: give --perf-models FILE with its place", fixed), behind)


def _with(problem: Problem, behind: str) -> Problem:
    return problem if problem.correction is None else Problem(problem.text, problem.correction + behind)
