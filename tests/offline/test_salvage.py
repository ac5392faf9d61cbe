"""What is made of a run whose ranks were killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.test_from_events import iterations

from tokenclock.iteration_log import IterationLog
from tokenclock.offline.salvage import Salvage
from tokenclock.plan_benchmark import BenchmarkPlan

KNOWN: dict[str, Any] = {"model": {"name": "m"}, "ranks": {"n": 2}, "created": "2026-11-24T00:00:00+00:00"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A run's that ended within its first of two cases."""
    plan = BenchmarkPlan(family="dec", engine_dir="tiny:llama", batch_sizes=(1,), lengths=((8, 4), (16, 4)))
    IterationLog(tmp_path / "ev", plan.to_dict(), 0, pytest.fail).write(iterations(0, 5, 2_000_000))
    return tmp_path / "ev"


@pytest.mark.parametrize("temporary", [True, False])
def test_a_run_that_never_said_it_was_done_gets_its_result(tmp_path: Path, log: Path, temporary: bool) -> None:
    path = tmp_path / "r.json"
    with Salvage(str(log), str(path), temporary=temporary, known=KNOWN):
        assert not path.exists()
    result = json.loads(path.read_text())["tokenclock"]
    assert result["incomplete"] is True
    assert [case["status"] for case in result["cases"]] == ["measured", "not_run"]
    assert (result["model"], result["ranks"], result["created"]) == tuple(KNOWN.values())
    assert result["environment"]["python"]
    assert log.exists() is not temporary


def test_a_run_that_has_written_its_own_is_left_alone(tmp_path: Path, log: Path) -> None:
    with Salvage(str(log), str(tmp_path / "r.json"), temporary=True, known=KNOWN) as salvage:
        salvage.done()
        salvage.done()
    assert not (tmp_path / "r.json").exists()
    assert log.exists()
