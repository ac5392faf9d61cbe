"""Ten minutes at 256 streams: memory must not grow beside the columns. `make long` runs it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tokenclock import PacedServer
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.serving.client import LoadRequests, Observer, run_load

MINUTES = float(os.environ.get("TOKENCLOCK_SOAK_MINUTES", "10"))
N_STREAMS, OSL, ITL_MS = 256, 500, 20.0
BYTES_PER_EVENT = 24
SETTLE_SHARE = 0.2  # of the run, before memory is judged

pytestmark = pytest.mark.skipif("TOKENCLOCK_LONG" not in os.environ, reason="takes ten minutes: make long")


class MemoryWatcher(Observer):
    """Memory beside the token columns, sampled each second."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.n_bytes: list[int] = []

    def on_progress(self, progress: Mapping[str, int]) -> None:
        now_s = time.monotonic()
        if progress["n_in_flight"] and (not self.seconds or now_s - self.seconds[-1] >= 1):
            status = Path("/proc/self/status").read_text()
            anonymous = int(status.split("RssAnon:")[1].split()[0]) * 1024
            self.seconds.append(now_s)
            self.n_bytes.append(anonymous - BYTES_PER_EVENT * progress["n_events"])


def test_memory_is_flat_beside_the_columns() -> None:
    n = round(N_STREAMS * MINUTES * 60 / (OSL * ITL_MS / 1e3))
    requests = LoadRequests(
        prompts=[[5] * 32] * n,
        isl_requested=np.full(n, 32, np.int32),
        osl_requested=np.full(n, OSL, np.int32),
        t_due_ns=np.zeros(n, np.int64),
    )
    watcher = MemoryWatcher()
    with PacedServer(mode="batch", itl_ms=ITL_MS) as server:
        plan = ServingPlan(EndpointPlan(model="paced", base_url=server.url), LoadPlan(max_concurrency=N_STREAMS))
        records = run_load(plan, requests, observer=watcher)
    assert records.ok.all()
    seconds, n_bytes = np.array(watcher.seconds), np.array(watcher.n_bytes, dtype=float)
    judged = seconds > seconds[0] + SETTLE_SHARE * (seconds[-1] - seconds[0])
    slope = np.polyfit(seconds[judged], n_bytes[judged], 1)[0]
    span_s = seconds[-1] - seconds[0]
    print(f"\n{records.n_events} events in {span_s:.0f} s: {slope / 1024:+.2f} KiB/s beside the columns")
    assert slope * 600 < 4 * 1024 * 1024, "more than 4 MiB in ten minutes"
