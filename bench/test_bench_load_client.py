"""What a token event costs the client: CPU of its threads against the paced server, from a few streams to many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.servers.certificates import Authority

from tokenclock import PacedServer
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan, TransportPlan
from tokenclock.serving.client import LoadRequests, run_load

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

OSL = 64


def requests_of(n_streams: int) -> LoadRequests:
    return LoadRequests(
        prompts=[[5] * 32] * n_streams,
        isl_requested=np.full(n_streams, 32, np.int32),
        osl_requested=np.full(n_streams, OSL, np.int32),
        t_due_ns=np.zeros(n_streams, np.int64),
    )


@pytest.mark.parametrize("stamps", ["kernel", "user"])
@pytest.mark.parametrize("n_streams", [16, 256, 1024])
def test_paced_streams(benchmark: BenchmarkFixture, n_streams: int, stamps: str) -> None:
    """All streams step together every 20 ms, one event a send."""
    cpu_us, lag_us = [], []
    with PacedServer(mode="batch", ttft_ms=60, itl_ms=20) as server:
        plan = ServingPlan(EndpointPlan(model="paced", base_url=server.url), LoadPlan(max_concurrency=n_streams))

        def run() -> None:
            records = run_load(plan, requests_of(n_streams), kernel_stamps=stamps == "kernel")
            assert records.ok.all()
            workers = records.client["workers"]
            cpu_ns = sum(worker["cpu_user_ns"] + worker["cpu_system_ns"] for worker in workers)
            cpu_us.append(cpu_ns / records.n_events / 1e3)
            lag_us.append(float(np.percentile(records.t_read_ns - records.t_token_ns, 99)) / 1e3)

        benchmark.pedantic(run, rounds=3, warmup_rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info |= {"cpu_us_per_event": float(np.median(cpu_us)), "read_lag_p99_us": float(np.median(lag_us))}
    print(
        f"\n{n_streams} streams, {stamps} stamps: {np.median(cpu_us):.2f} us of CPU per event, "
        f"read lag p99 {np.median(lag_us):.0f} us"
    )


@pytest.mark.parametrize("transport", ["tcp", "tls", "unix"])
def test_transports(benchmark: BenchmarkFixture, transport: str, tmp_path: Path) -> None:
    """What TLS and a Unix socket add or save: 128 streams, long enough that handshakes do not count."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    path = tmp_path / "s" if transport == "unix" else None
    certificate, key = (pair.certificate, pair.key) if transport == "tls" else (None, None)
    cpu_us = []
    with PacedServer(ttft_ms=200, itl_ms=10, unix_socket=path, tls_cert=certificate, tls_key=key) as server:
        plan = ServingPlan(
            EndpointPlan(model="paced", base_url=server.url),
            LoadPlan(max_concurrency=128),
            transport=TransportPlan(
                unix_socket=str(path) if path else None, cacert=str(authority.certificate) if certificate else None
            ),
        )
        requests = requests_of(128)
        requests.osl_requested[:] = 256

        def run() -> None:
            records = run_load(plan, requests)
            assert records.ok.all()
            workers = records.client["workers"]
            cpu_ns = sum(worker["cpu_user_ns"] + worker["cpu_system_ns"] for worker in workers)
            cpu_us.append(cpu_ns / records.n_events / 1e3)

        benchmark.pedantic(run, rounds=3)  # type: ignore[no-untyped-call]
    benchmark.extra_info["cpu_us_per_event"] = float(np.median(cpu_us))
    print(f"\n{transport}: {np.median(cpu_us):.2f} us of CPU per event")


@pytest.mark.parametrize("events_per_send", [1, 16])
def test_flood(benchmark: BenchmarkFixture, events_per_send: int) -> None:
    """The server sends as fast as the sockets take it: tokens per second of client CPU."""
    per_cpu_s = []
    with PacedServer(mode="flood", events_per_send=events_per_send) as server:
        plan = ServingPlan(EndpointPlan(model="paced", base_url=server.url), LoadPlan(max_concurrency=32))
        requests = requests_of(512)
        requests.osl_requested[:] = 256

        def run() -> None:
            records = run_load(plan, requests)
            assert records.ok.all()
            workers = records.client["workers"]
            cpu_s = sum(worker["cpu_user_ns"] + worker["cpu_system_ns"] for worker in workers) / 1e9
            per_cpu_s.append(records.n_events / cpu_s)

        benchmark.pedantic(run, rounds=3, warmup_rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info["events_per_cpu_s"] = float(np.median(per_cpu_s))
    print(
        f"\n{events_per_send} events a send: {np.median(per_cpu_s) / 1e3:.0f} k token events per second of client CPU"
    )
