"""A hundred thousand runs, asked as users ask."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.store.synthetic import synthetic_history

LIMIT_S = 1.0
MARGIN = 2.0  # a quiet machine takes half of the limit; another may be slower
QUESTIONS = (
    ("list",),
    ("list", "--model", "llama*", "--tag", "branch=main"),
    ("trend", "ttft.mean"),
    ("trend", "ttft.p99", "--by", "model,gpu,concurrency", "--state", "all"),
)


@pytest.mark.timing
def test_a_hundred_thousand_runs_in_a_file(tmp_path: Path) -> None:
    ask(str(tmp_path / "h.sqlite"))


@pytest.mark.timing
def test_a_hundred_thousand_runs_on_a_server(new_postgresql_place: Callable[[], str]) -> None:
    ask(new_postgresql_place())


def ask(place: str) -> None:
    """`list` and `trend` as typed, start of Python included."""
    synthetic_history(place, 100_000)
    command, environment = [sys.executable, "-m", "tokenclock", "history"], {**os.environ, "TOKENCLOCK_HISTORY": place}
    for line in QUESTIONS:
        taken_s = []
        for _ in range(5):
            begun_s = time.perf_counter()
            subprocess.run([*command, *line], check=True, capture_output=True, env=environment)
            taken_s.append(time.perf_counter() - begun_s)
        assert statistics.median(taken_s) < MARGIN * LIMIT_S, (line, taken_s)
