from __future__ import annotations

import os

import pytest

from tokenclock.serving.cores import cores_of_workers


@pytest.mark.parametrize(
    ("n_workers", "allowed", "expected"),
    [(1, {0, 1, 2}, []), (2, {4, 2, 9}, [2, 4]), (3, {4, 2, 9}, [2, 4, 9]), (4, {4, 2, 9}, []), (2, {7}, [])],
)
def test_each_worker_gets_a_core_where_there_are_enough(
    monkeypatch: pytest.MonkeyPatch, n_workers: int, allowed: set[int], expected: list[int]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed, raising=False)
    assert cores_of_workers(n_workers) == expected
