"""tokenclock's own client as `compare_clients.py` runs it: PORT STREAMS REQUESTS OUTPUT_TOKENS FILE [user]."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stream_readers.seen import Seen, write
from tokenclock.metrics.client_cost import read_lag_ns
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.records import MISSING_NS, Records
from tokenclock.serving.client import LoadRequests, Observer, run_load

BYTES_PER_EVENT = 24


class Memory(Observer):
    """Resident memory less the token columns, at its largest."""

    peak_bytes = 0

    def on_progress(self, progress: Mapping[str, int]) -> None:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
        self.peak_bytes = max(self.peak_bytes, resident - BYTES_PER_EVENT * progress["n_events"])


def seen_by(records: Records) -> Seen:
    """The records as every reader writes them."""
    ids = records.response_ids or []
    number = [int(text.removeprefix("paced-")) if text.startswith("paced-") else -1 for text in ids]
    sent = records.columns["t_sent_ns"]
    absolute = np.where(sent == MISSING_NS, MISSING_NS, sent + records.epoch_ns)
    return Seen(np.array(number), absolute, records.row_of_event(), records.t_token_ns + records.epoch_ns)


def main() -> None:
    port, n_streams, n_requests, osl = map(int, sys.argv[1:5])
    requests = LoadRequests(
        prompts=[[5] * 32] * n_requests,
        isl_requested=np.full(n_requests, 32, np.int32),
        osl_requested=np.full(n_requests, osl, np.int32),
        t_due_ns=np.zeros(n_requests, np.int64),
    )
    url = f"http://127.0.0.1:{port}"
    plan = ServingPlan(EndpointPlan(model="paced", base_url=url), LoadPlan(max_concurrency=n_streams))
    memory = Memory()
    begun = time.perf_counter_ns()
    records = run_load(plan, requests, kernel_stamps=len(sys.argv) < 7, observer=memory)
    write(sys.argv[5], seen_by(records))
    first_sent = int(records.columns["t_sent_ns"].min()) + records.epoch_ns
    lag = np.sort(read_lag_ns(records))
    figures = {
        "cpu_ns": records.client["process_cpu_ns"],
        "worker_cpu_ns": sum(w["cpu_user_ns"] + w["cpu_system_ns"] for w in records.client["workers"]),
        "wall_ns": records.client["wall_ns"],
        "max_rss_bytes": memory.peak_bytes,
        "n_failed": int((~records.ok).sum()),
        "first_request_ms": (first_sent - begun) / 1e6,
        "coalesced_share": records.client["n_events_coalesced"] / max(1, records.n_events),
        "read_lag_p99_us": float(lag[int(0.99 * (len(lag) - 1))]) / 1e3 if len(lag) else None,
        "read_lag_mean_us": float(lag.mean()) / 1e3 if len(lag) else None,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
