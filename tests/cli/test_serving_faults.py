"""`tokenclock serving` where something is in its way: each run works or says what to do, and keeps what it measured."""

from __future__ import annotations

import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.servers.proxies import Proxy, rechunked
from tests.servers.sandbox import refuse_receive_stamps
from tests.servers.scripted import Request, ScriptedServer, completion_events, sse_reply

from tokenclock import PacedServer, event_log
from tokenclock.records import MISSING_NS, Records
from tokenclock.report import columns_file
from tokenclock.result import Result

OSL = 20


def command(url: str, *more: str, n: int = 20) -> list[str]:
    """A small run; `more` adds to it."""
    load = f"--dataset-name random --random-ids --random-input-len 8 --random-output-len {OSL} --num-prompts {n}"
    start = [sys.executable, "-m", "tokenclock", "serving", "--model", "paced", "--base-url", url]
    return [*start, *load.split(), "--ignore-eos", "--temperature", "0", "--no-test-input", *more]


def run(url: str, *more: str, n: int = 20, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(url, *more, n=n), capture_output=True, text=True, check=False, **options)


def saved(folder: Path) -> list[str]:
    return ["--save-result", "--result-dir", str(folder), "--result-filename", "r.json"]


def records_of(folder: Path) -> Records:
    return columns_file.read(columns_file.columns_path(folder / "r.json"))


def test_a_file_limit_below_the_streams_asked_for_says_what_to_set() -> None:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    with PacedServer(itl_ms=1) as server:
        done = run(server.url, "--max-concurrency", "500", n=1000, preexec_fn=few_files)
    assert done.returncode == 2
    assert "500 connections at once need 628 open files, the limit here is 256" in done.stderr
    assert "ulimit -n 628" in done.stderr


def test_a_soft_file_limit_is_raised() -> None:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1024:
        pytest.skip("the hard limit here is below what the test raises to")
    with PacedServer(itl_ms=1) as server:
        done = run(server.url, "--max-concurrency", "300", n=300, preexec_fn=few_files)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="the filter is for x86-64 Linux")
def test_without_kernel_stamps_it_measures_and_says_so(tmp_path: Path) -> None:
    with PacedServer(itl_ms=5) as server:
        done = run(server.url, *saved(tmp_path), "--max-concurrency", "4", preexec_fn=refuse_receive_stamps)
    assert done.returncode == 0, done.stderr
    assert "Token stamps: " in done.stdout
    assert "user space" in done.stdout
    assert "VALID with warnings" in done.stdout
    assert "not in a sandbox that filters it" in " ".join(done.stdout.split())
    records = records_of(tmp_path)
    assert records.client["stamp_source"] == "user"
    assert (records.t_token_ns == records.t_read_ns).all()


def test_a_server_that_closes_every_connection_is_named() -> None:
    def close(_: Request, connection: socket.socket) -> bytes:
        connection.shutdown(socket.SHUT_RDWR)
        return b""

    with ScriptedServer(close) as server:
        done = run(server.url, "--max-concurrency", "4")
    assert done.returncode == 1
    assert "every request failed" in done.stderr
    assert "the server closed the connection" in done.stderr


def test_a_server_that_closes_after_every_reply_costs_no_request(tmp_path: Path) -> None:
    def once(_: Request, connection: socket.socket) -> bytes:
        connection.sendall(
            sse_reply(completion_events(["a"] * OSL, usage={"prompt_tokens": 8, "completion_tokens": OSL}))
        )
        connection.shutdown(socket.SHUT_RDWR)
        return b""

    with ScriptedServer(once) as server:
        done = run(server.url, *saved(tmp_path), "--max-concurrency", "2", n=50)
        n_connections = server.n_connections
    assert done.returncode == 0, done.stderr
    records = records_of(tmp_path)
    assert records.ok.all()
    assert n_connections >= 50
    assert int(records.columns["resent"].sum()) == records.client["n_resent"] <= 6  # then it is known


@pytest.mark.parametrize("size", [7, 1000])
def test_a_proxy_that_chunks_anew_changes_no_count(tmp_path: Path, size: int) -> None:
    with PacedServer(itl_ms=2) as server, Proxy(int(server.url.rpartition(":")[2]), rechunked(size)) as proxy:
        done = run(proxy.url, *saved(tmp_path), "--max-concurrency", "4")
        truth = server.stop()
    assert done.returncode == 0, done.stderr
    records = records_of(tmp_path)
    assert records.ok.all()
    assert (np.diff(records.token_offsets) == OSL).all()
    assert (records.columns["osl"] == OSL).all()
    assert truth.n_requests == 20


def test_a_server_stopped_for_three_seconds_shows_in_every_request_due_meanwhile(tmp_path: Path) -> None:
    with PacedServer(ttft_ms=10, itl_ms=1) as server:
        arguments = [*saved(tmp_path), "--request-rate", "50", "--burstiness", "1000000", "--num-warmups", "1"]
        child = subprocess.Popen(command(server.url, *arguments, n=300), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while server.truth().n_requests < 60:
            time.sleep(0.05)
        os.kill(server.pid, signal.SIGSTOP)
        stopped_ns = time.perf_counter_ns()
        time.sleep(3)
        os.kill(server.pid, signal.SIGCONT)
        went_on_ns = time.perf_counter_ns()
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    records = records_of(tmp_path)
    assert records.ok.all()
    columns = records.columns
    due = columns["t_scheduled_ns"] + records.epoch_ns
    # the schedule was kept while nobody answered, and each request due meanwhile waited for the rest of the stop
    meanwhile = (due > stopped_ns + 50_000_000) & (due < went_on_ns - 50_000_000)
    assert 100 <= int(meanwhile.sum()) <= 160
    assert (columns["t_sent_ns"][meanwhile] + records.epoch_ns < went_on_ns + 50_000_000).all()
    response = columns["t_first_token_ns"] - columns["t_scheduled_ns"]
    assert (response[meanwhile] >= went_on_ns - due[meanwhile] - 1_000_000).all()
    p99_ns = Result.load(tmp_path / "r.json").latencies["response_ttft"]["percentiles"]["rank"]["99"]
    assert p99_ns > 2_800_000_000
    assert b"TTFT from schedule" in out


def test_kill_loses_at_most_the_last_second(tmp_path: Path) -> None:
    with PacedServer(itl_ms=10) as server:
        child = subprocess.Popen(
            command(server.url, "--max-concurrency", "4", "--save-events", str(tmp_path / "events"), n=400),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(list((tmp_path / "events").glob("part-*.npz"))) < 4:
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        killed_ns = time.perf_counter_ns()
        child.wait()
        truth = server.stop()
    plan, records, incomplete = event_log.read(tmp_path / "events")
    assert incomplete
    assert plan["command"] == "serving"
    sent_until_ns = truth.t_send_ns[(truth.n_tokens > 0) & (truth.t_send_ns < killed_ns - 1_500_000_000)]
    assert len(sent_until_ns) > 100
    assert records.n_events >= len(sent_until_ns), "more than the last second (and half a second of grace) is gone"
    assert records.ok.any()
    assert (records.columns["t_first_token_ns"][records.ok] != MISSING_NS).all()


def test_a_full_disk_is_said_once_and_the_run_goes_on(tmp_path: Path) -> None:
    """By a limit on the size of files: a part of the log past 6 KiB is refused as by a disk without room."""

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6 * 1024, 6 * 1024))

    with PacedServer(itl_ms=10) as server:
        arguments = ["--max-concurrency", "16", "--save-events", str(tmp_path / "events")]
        done = run(server.url, *arguments, n=200, preexec_fn=small_files)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("event log stopped after part") == 1
    assert "File too large; the run goes on without it, free space under" in done.stderr
    assert "Successful requests:                     200" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_small_disk_that_runs_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=96k none "$0" && exec "$@"', str(disk)]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this sandbox mounts nothing")
    with PacedServer(itl_ms=10) as server:
        arguments = ["--max-concurrency", "16", "--save-events", str(disk / "events")]
        done = subprocess.run(
            [*mount, *command(server.url, *arguments, n=300)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("event log stopped after part") == 1
    assert "No space left on device" in done.stderr
    assert "Successful requests:                     300" in done.stdout


def test_a_client_that_was_stopped_is_right_all_the_same_and_its_read_lag_says_how_wrong_it_would_have_been(
    tmp_path: Path,
) -> None:
    with PacedServer(ttft_ms=2000, itl_ms=600) as server:
        arguments = [*saved(tmp_path), "--random-output-len", "3", "--max-concurrency", "8"]
        child = subprocess.Popen(command(server.url, *arguments, n=8), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while server.truth().n_requests < 8:
            time.sleep(0.05)
        arrived_ns = int(server.truth().t_arrival_ns.max())
        os.kill(child.pid, signal.SIGSTOP)  # over the first tokens, and not as far as the second ones
        time.sleep(max(0.0, (arrived_ns - time.perf_counter_ns()) / 1e9 + 2.3))
        os.kill(child.pid, signal.SIGCONT)
        _, err = child.communicate(timeout=60)
        truth = server.stop()
    assert child.returncode == 0, err
    records = records_of(tmp_path)
    assert records.ok.all()
    if records.client["stamp_source"] != "kernel":
        pytest.skip("this kernel or sandbox stamps nothing")
    assert records.response_ids is not None
    number = [int(text.removeprefix("paced-")) for text in records.response_ids]
    ttft_ns = records.columns["t_first_token_ns"] - records.columns["t_sent_ns"]
    first = records.token_offsets[:-1]
    read_lag_ns = (records.t_read_ns - records.t_token_ns)[first]
    assert (np.abs(ttft_ns - truth.ttft_ns[number]) < 20_000_000).all()
    assert (read_lag_ns > 100_000_000).all()
    by_reading_ns = records.t_read_ns[first] - records.columns["t_sent_ns"]
    assert (np.abs(by_reading_ns - truth.ttft_ns[number] - read_lag_ns) < 20_000_000).all()
