from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tokenclock import PacedServer
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.serving.client import LoadRequests, Observer, run_load

N_STREAMS = 800
BYTES_PER_EVENT = 24


def anonymous_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


class PeakWatcher(Observer):
    """Largest memory while all streams are open, less the token columns."""

    peak_bytes = 0

    def on_progress(self, progress: Mapping[str, int]) -> None:
        if progress["n_in_flight"] == N_STREAMS:
            self.peak_bytes = max(self.peak_bytes, anonymous_bytes() - BYTES_PER_EVENT * progress["n_events"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_connection_costs_at_most_20_kib() -> None:
    requests = LoadRequests(
        prompts=[[5] * 16] * N_STREAMS,
        isl_requested=np.full(N_STREAMS, 16, np.int32),
        osl_requested=np.full(N_STREAMS, 20, np.int32),
        t_due_ns=np.zeros(N_STREAMS, np.int64),
    )
    watcher = PeakWatcher()
    with PacedServer(mode="batch", ttft_ms=100, itl_ms=50) as server:
        plan = ServingPlan(EndpointPlan(model="paced", base_url=server.url), LoadPlan(max_concurrency=N_STREAMS))
        before = anonymous_bytes()
        records = run_load(plan, requests, observer=watcher)
    assert records.ok.all()
    assert watcher.peak_bytes > 0
    assert (watcher.peak_bytes - before) / N_STREAMS < 20 * 1024
