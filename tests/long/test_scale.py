"""Ten thousand streams at ten events a second each, by one thread. `make long` runs it."""

from __future__ import annotations

import os
import resource
import statistics

import numpy as np
import pytest

from tokenclock import PacedServer
from tokenclock.metrics.client_cost import cpu_use
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.records import Records
from tokenclock.serving.client import LoadRequests, run_load

N_STREAMS = 10_000
EVENTS_PER_S = 100_000

pytestmark = pytest.mark.skipif(
    "TOKENCLOCK_LONG" not in os.environ, reason="takes two cores for half a minute: make long"
)


def measure(n_streams: int, duration_s: int) -> Records:
    """`n_streams` out of step, `EVENTS_PER_S` in all, from one thread."""
    itl_ms = 1000 * n_streams / EVENTS_PER_S
    osl = round(duration_s * 1000 / itl_ms)
    requests = LoadRequests(
        prompts=[[5] * 8] * n_streams,
        isl_requested=np.full(n_streams, 8, np.int32),
        osl_requested=np.full(n_streams, osl, np.int32),
        t_due_ns=np.zeros(n_streams, np.int64),
    )
    with PacedServer(mode="independent", ttft_ms=3000, itl_ms=itl_ms) as server:
        plan = ServingPlan(EndpointPlan(model="m", base_url=server.url), LoadPlan(max_concurrency=n_streams))
        records = run_load(plan, requests)
    assert records.ok.all()
    assert records.n_events == n_streams * osl
    assert records.client["max_in_flight"] == n_streams
    assert records.client["n_connections"] == n_streams
    return records


def test_ten_thousand_streams_cost_little_more_than_a_few() -> None:
    """A token at 10 000 streams costs at most 1.3 times what it does at 256, with the same events in all."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < N_STREAMS + 1000:
        pytest.skip("the hard limit of open files is too low here: ulimit -n 20000")
    ratios = []
    for _ in range(3):
        few, many = (cpu_use(measure(n, 8)).ns_per_event for n in (256, N_STREAMS))
        assert few is not None
        assert many is not None
        ratios.append(many / few)
        print(f"\nCPU per event: {few:.0f} ns at 256 streams, {many:.0f} ns at {N_STREAMS}")
    assert statistics.median(ratios) <= 1.3
