"""What the load client costs, by the CPU its process used: a busy machine makes runs longer, hardly dearer."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tokenclock import PacedServer
from tokenclock._core import parsers

ROOT = Path(__file__).resolve().parents[2]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def run_client(server: PacedServer, tmp_path: Path, n_streams: int, n_requests: int, osl: int) -> dict[str, Any]:
    """The client in a process of its own, as bench/compare_clients.py runs it; what it cost."""
    port = server.url.rpartition(":")[2]
    numbers = [port, *map(str, (n_streams, n_requests, osl))]
    done = subprocess.run(
        [sys.executable, "-m", "stream_readers.tokenclock_reader", *numbers, str(tmp_path / "seen.bin")],
        cwd=ROOT / "bench",
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert figures["n_failed"] == 0
    return figures


@pytest.mark.timing
def test_framing_json_and_meaning_take_at_most_six_tenths_of_a_microsecond_per_event() -> None:
    event = b'data: {"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"m","choices":[{"index":0,'
    event += b'"text":" token","logprobs":null,"finish_reason":null}]}\n\n'
    chunk = b"%x\r\n%s\r\n" % (len(event), event)
    reply = HEAD + chunk * 1600 + b"0\r\n\r\n"
    costs_ns = [parsers.bench_receive(reply, 20, 16 * len(chunk)) for _ in range(5)]
    assert statistics.median(costs_ns) < 300


@pytest.mark.timing
@pytest.mark.parametrize(("events_per_send", "per_cpu_s"), [(1, 60_000), (16, 500_000)])
def test_a_flood_is_read_at_a_fraction_of_the_core(tmp_path: Path, events_per_send: int, per_cpu_s: int) -> None:
    # half of what a quiet machine gives; a busy one gives more, since events that wait are read together
    rates = []
    for _ in range(5):
        with PacedServer(mode="flood", ttft_ms=0, itl_ms=0, events_per_send=events_per_send) as server:
            figures = run_client(server, tmp_path, 32, 512, 256)
        rates.append(512 * 256 / figures["cpu_ns"] * 1e9)
    assert statistics.median(rates) > per_cpu_s


@pytest.mark.timing
def test_the_first_request_leaves_at_once(tmp_path: Path) -> None:
    begun_ms = []
    for _ in range(5):
        with PacedServer(itl_ms=1) as server:
            begun_ms.append(run_client(server, tmp_path, 64, 64, 4)["first_request_ms"])
    assert statistics.median(begun_ms) < 300


def test_a_thousand_streams_fit_in_sixty_megabytes(tmp_path: Path) -> None:
    with PacedServer(mode="batch", ttft_ms=100, itl_ms=50) as server:
        figures = run_client(server, tmp_path, 1024, 1024, 16)
    assert figures["max_rss_bytes"] < 60e6
