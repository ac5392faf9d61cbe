"""Node ids of performance tests among pytest's positional arguments: they choose cases of the list."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case, case_of

__all__ = ["named_cases"]

_NODE = re.compile(r"(?:.*/)?perf/test_perf(_sanity)?\.py::test_\w+\[.*\]", re.DOTALL)


def named_cases(words: Sequence[str], cases: Sequence[Case], *, has_others: bool) -> tuple[set[Case], list[str]]:
    """The cases that are named, and the words that are pytest's own.

    Args:
        words: as given; a case's name may carry a test prefix, its label may be as written or canonical.
        cases: of the list.
        has_others: the list names tests that pytest collects too.

    Raises:
        UsageError: a name of no case of the list, or another word where the list has performance tests only.
    """
    found: set[Case] = set()
    rest = []
    for word in words:
        case = case_of(word) if _NODE.fullmatch(word) else None
        if case is not None:
            same = [one for one in cases if _key(one) == _key(case)]
            if not same:
                close = difflib.get_close_matches(case.name, [one.name for one in cases], n=2, cutoff=0.6)
                hint = f"; near: {', '.join(close)}" if close else ""
                raise UsageError(f"no case of the list is called {word}{hint}")
            found.update(same)
        elif has_others:
            rest.append(word)
        else:
            raise UsageError(
                f"expected names of listed cases, got {word}: the list has performance tests only, which no file "
                "holds; choose among them by their names or by -R"
            )
    return found, rest


def _key(case: Case) -> tuple[str, str]:
    return case.name.partition("[")[0], case.canonical
