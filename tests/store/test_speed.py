"""A hundred thousand runs on PostgreSQL, asked as users ask; for SQLite see tests/cli/test_history.py."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from tests.store.synthetic import synthetic_history


@pytest.mark.timing
def test_a_hundred_thousand_runs_on_a_server(new_postgresql_place: Callable[[], str]) -> None:
    """`list` and `trend` as typed, start of Python included, in under 1 s."""
    place = new_postgresql_place()
    synthetic_history(place, 100_000)
    command, environment = [sys.executable, "-m", "tokenclock", "history"], {**os.environ, "TOKENCLOCK_HISTORY": place}
    for line in (
        ["list"], ["list", "--model", "llama*", "--tag", "branch=main"],
        ["trend", "ttft.mean"], ["trend", "ttft.p99", "--by", "model,gpu,concurrency", "--state", "all"],
    ):  # fmt: skip
        taken_s = []
        for _ in range(5):
            begun_s = time.perf_counter()
            subprocess.run([*command, *line], check=True, capture_output=True, env=environment)
            taken_s.append(time.perf_counter() - begun_s)
        assert statistics.median(taken_s) < 1.0, (line, taken_s)
