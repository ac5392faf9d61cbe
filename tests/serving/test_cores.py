from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tokenclock import PacedServer
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.serving.client import LoadRequests, Observer, run_load
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


class Affinities(Observer):
    """Where the threads of this process may run while the load goes on."""

    seen: frozenset[str] = frozenset()

    def on_progress(self, progress: Mapping[str, int]) -> None:
        for status in Path("/proc/self/task").glob("*/status"):
            line = status.read_text().split("Cpus_allowed_list:")[1].split("\n")[0]
            self.seen |= {line.strip()}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_workers_are_pinned_and_give_one_result() -> None:
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    if len(cores) < 2:
        pytest.skip("one core: nothing is pinned")
    n = 40
    requests = LoadRequests(
        prompts=[[5]] * n,
        isl_requested=np.full(n, 1, np.int32),
        osl_requested=np.full(n, 20, np.int32),
        t_due_ns=np.zeros(n, np.int64),
    )
    watcher = Affinities()
    with PacedServer(itl_ms=10) as server:
        plan = ServingPlan(EndpointPlan(model="m", base_url=server.url), LoadPlan(max_concurrency=8, workers=2))
        records = run_load(plan, requests, observer=watcher)
    assert records.ok.all()
    assert records.n_events == n * 20
    assert set(records.columns["worker"].tolist()) == {0, 1}
    assert {str(cores[0]), str(cores[1])} <= watcher.seen
