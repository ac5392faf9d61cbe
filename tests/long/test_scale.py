"""Ten thousand streams at ten events a second each, by one thread. `make long` runs it."""

from __future__ import annotations

import os
import resource

import numpy as np
import pytest

from tokenclock import PacedServer
from tokenclock.metrics.client_cost import cpu_use
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.serving.client import LoadRequests, run_load

N_STREAMS, OSL = 10_000, 60

pytestmark = pytest.mark.skipif(
    "TOKENCLOCK_LONG" not in os.environ, reason="takes two cores for half a minute: make long"
)


def test_ten_thousand_streams() -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < N_STREAMS + 1000:
        pytest.skip("the hard limit of open files is too low here: ulimit -n 20000")
    requests = LoadRequests(
        prompts=[[5] * 8] * N_STREAMS,
        isl_requested=np.full(N_STREAMS, 8, np.int32),
        osl_requested=np.full(N_STREAMS, OSL, np.int32),
        t_due_ns=np.zeros(N_STREAMS, np.int64),
    )
    with PacedServer(mode="independent", ttft_ms=3000, itl_ms=100) as server:
        plan = ServingPlan(EndpointPlan(model="m", base_url=server.url), LoadPlan(max_concurrency=N_STREAMS))
        records = run_load(plan, requests)
    assert records.ok.all()
    assert records.n_events == N_STREAMS * OSL
    assert records.client["max_in_flight"] == N_STREAMS
    assert records.client["n_connections"] == N_STREAMS
    cost = cpu_use(records)
    print(f"\n{cost.ns_per_event} ns of CPU per event, {cost.share_of_core} of a core")
