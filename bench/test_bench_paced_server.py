"""What the paced server costs and how well it keeps time: CPU per event, and how late sends leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tokenclock import PacedServer
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.serving.client import LoadRequests, run_load

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

OSL = 64


@pytest.mark.parametrize(
    ("mode", "n_streams"), [("batch", 256), ("batch", 1024), ("independent", 256), ("independent", 1024), ("flood", 16)]
)
def test_emission(benchmark: BenchmarkFixture, mode: Any, n_streams: int) -> None:
    """Every stream gets a token each 20 ms (flood: at once)."""
    requests = LoadRequests(
        prompts=[[5] * 32] * n_streams,
        isl_requested=np.full(n_streams, 32, np.int32),
        osl_requested=np.full(n_streams, OSL, np.int32),
        t_due_ns=np.zeros(n_streams, np.int64),
    )
    runs = []
    with PacedServer(mode=mode, ttft_ms=100, itl_ms=20) as server:
        plan = ServingPlan(EndpointPlan(model="paced", base_url=server.url), LoadPlan(max_concurrency=n_streams))
        benchmark.pedantic(lambda: runs.append(run_load(plan, requests)), rounds=2)  # type: ignore[no-untyped-call]
    truth = server.truth()
    content = truth.n_tokens > 0
    n_events = int(truth.n_events.sum())
    assert n_events == len(runs) * n_streams * OSL  # one run where benchmarks are disabled
    counters = truth.meta["counters"]
    cpu_us = counters["cpu_ns"] / n_events / 1e3
    spun_us = counters["spun_ns"] / n_events / 1e3
    late_us = (truth.t_send_ns - truth.t_due_ns)[content] / 1e3
    p50_us, p99_us = np.percentile(late_us, [50, 99])
    benchmark.extra_info |= {"cpu_us_per_event": cpu_us, "spun_us_per_event": spun_us}
    benchmark.extra_info |= {"late_p50_us": float(p50_us), "late_p99_us": float(p99_us)}
    print(
        f"\n{mode}, {n_streams} streams: {cpu_us:.2f} us of server CPU per event ({spun_us:.2f} of it waiting awake), "
        f"late by {p50_us:.0f} us (p50), {p99_us:.0f} us (p99)"
    )
