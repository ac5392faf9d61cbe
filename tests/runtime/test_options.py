from __future__ import annotations

from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.parallel import OneProcess
from tokenclock.runtime import null
from tokenclock.runtime.options import RuntimeOptions, refuse_split


@pytest.mark.parametrize(
    ("asked", "has", "line"),
    [
        ({"tp": 2}, 1, "--tp must be 1, got 2"),
        ({"tp": 1}, 2, "--tp must be 2, got 1"),
        ({"pp": 3}, 2, "--pp must be 1, got 3"),
        ({"ep": 2}, 1, "--ep must be 1, got 2"),
    ],
)
def test_a_split_that_a_runtime_does_not_make_is_refused(asked: dict[str, Any], has: int, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        refuse_split("some", RuntimeOptions(**asked), tp=has)


def test_what_it_does_make_passes() -> None:
    refuse_split("some", RuntimeOptions())
    refuse_split("some", RuntimeOptions(tp=2, pp=1, ep=1), tp=2)


def test_the_null_runtime_is_whole() -> None:
    with pytest.raises(UsageError, match="--runtime null runs a whole model"):
        null.load("", "dec", RuntimeOptions(pp=2), OneProcess())
