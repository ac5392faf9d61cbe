"""Ten faults, planted into real runs against the paced server: each is named, with its level and what to do."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tokenclock.serving.client as client_module
from tokenclock import PacedServer, Result, run_serving
from tokenclock._core import LoadClient, SteppedClock
from tokenclock.plan import EndpointPlan, GenerationPlan, LoadPlan, OutputPlan, RandomDataset, ServingPlan
from tokenclock.verdict import INVALID, OK, WARN, Check

Progress = Callable[[Mapping[str, int]], None]


def run(
    server: PacedServer, *, load: Mapping[str, Any], osl: int = 20, on_progress: Progress | None = None, **output: Any
) -> Result:
    plan = ServingPlan(
        EndpointPlan(model="paced", base_url=server.url),
        LoadPlan(**{"test_input": False, **load}),
        GenerationPlan(ignore_eos=True, temperature=0.0),
        RandomDataset(input_len=16, output_len=osl),
        OutputPlan(max_failure_share=0.0, **output),
    )
    return run_serving(plan, on_progress=on_progress, say=lambda line: None)


def finding(result: Result, tag: str) -> Check:
    """The check of that tag, which must have a reason that names value and limit, and a remedy."""
    check = result.quality.check(tag)
    assert check is not None, f"no check {tag}"
    assert check.status != OK, f"{tag} is ok: {check}"
    assert check.reason
    assert check.remedy
    assert check.value is not None
    return check


CLOSED = {"num_prompts": 80, "max_concurrency": 8}


@pytest.fixture
def busy_core() -> Iterator[int]:
    """A core that a process of ordinary priority never leaves."""
    core = min(os.sched_getaffinity(0))
    code = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile os.getppid() == {os.getpid()}: pass"
    hog = subprocess.Popen([sys.executable, "-c", code])
    yield core
    hog.kill()
    hog.wait()


class Starver:
    """Puts the threads that are new since it was made on one core, behind everything else that wants to run there."""

    def __init__(self, core: int) -> None:
        self._core, self._known, self._done = core, set(os.listdir("/proc/self/task")), False

    def __call__(self, progress: Mapping[str, int]) -> None:
        if self._done or not progress["n_sent"]:
            return
        for thread in set(os.listdir("/proc/self/task")) - self._known:
            os.sched_setaffinity(int(thread), {self._core})
            os.sched_setscheduler(int(thread), os.SCHED_IDLE, os.sched_param(0))
        self._done = True


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="no idle scheduling class here")
def test_a_starved_client_core(busy_core: int) -> None:
    with PacedServer(mode="batch", ttft_ms=20, itl_ms=10, cpu=max(os.sched_getaffinity(0))) as server:
        result = run(
            server, load={"num_prompts": 320, "max_concurrency": 32}, osl=30, on_progress=Starver(busy_core)
        )  # fmt: skip
    named = {check.tag for check in result.quality.findings}
    assert named & {"starved", "read_lag", "slot_idle"}, result.quality.findings
    assert "starved" in named or "read_lag" in named
    for tag in named & {"starved", "read_lag"}:
        assert "stop other work on this machine" in finding(result, tag).remedy


class Freezer:
    """Stops a server for some seconds once half of the requests are done."""

    def __init__(self, server: PacedServer, after: int, seconds: float) -> None:
        self._server, self._after, self._seconds, self._thread = server, after, seconds, threading.Thread()
        self.frozen_ns = (0, 0)

    def __call__(self, progress: Mapping[str, int]) -> None:
        if progress["n_done"] >= self._after and self._thread.ident is None:
            self._thread = threading.Thread(target=self._freeze)
            self._thread.start()

    def _freeze(self) -> None:
        start = time.perf_counter_ns()
        os.kill(self._server.pid, signal.SIGSTOP)
        time.sleep(self._seconds)
        os.kill(self._server.pid, signal.SIGCONT)
        self.frozen_ns = (start, time.perf_counter_ns())

    def join(self) -> None:
        self._thread.join()


def test_a_server_that_stands_still() -> None:
    with PacedServer(ttft_ms=20, itl_ms=5) as server:
        freezer = Freezer(server, 40, 1.5)
        result = run(server, load=CLOSED, on_progress=freezer)
        freezer.join()
    check = finding(result, "silence")
    assert check.status == WARN
    assert check.details["longest_ns"] == pytest.approx(1.5e9, rel=0.2)
    assert "nothing came for 1" in check.reason
    assert "stall" in check.remedy


def test_a_stream_that_falls_silent_is_a_failure() -> None:
    with PacedServer(ttft_ms=10, itl_ms=2, faults=["stall:0.05"], seed=1) as server:
        result = run(server, load={**CLOSED, "no_progress_timeout_s": 0.5})
    check = finding(result, "failures")
    assert check.status == INVALID
    assert check.details["stalled"]
    assert "went silent" in check.remedy


def test_answers_shorter_than_asked() -> None:
    with PacedServer(ttft_ms=10, itl_ms=2, output_share=0.5) as server:
        result = run(server, load=CLOSED)
    check = finding(result, "osl")
    assert check.status == WARN
    assert check.value == pytest.approx(0.5)
    assert check.reason == "output tokens differ from those asked by 50.0% in total (above 2.0%)"
    assert check.remedy.startswith("ignore_eos was sent and the server ended answers all the same: ask for min_tokens")


@pytest.mark.parametrize(("share", "status"), [(0.25, INVALID), (0.0626, INVALID), (0.0, None)])
def test_a_warm_cache(share: float, status: str | None) -> None:
    with PacedServer(ttft_ms=10, itl_ms=2, cached_share=share) as server:
        result = run(server, load=CLOSED)
    if status is None:
        assert result.quality.check("cached") is None  # the server does not speak of a cache
        return
    check = finding(result, "cached")
    assert check.status == status
    assert "came from the server's cache (above 5.0%)" in check.reason
    assert "--seed" in check.remedy


def test_a_rate_that_was_not_reached() -> None:
    with PacedServer(mode="independent", ttft_ms=50, itl_ms=5) as server:
        result = run(server, load={"num_prompts": 60, "request_rate": 100.0, "max_concurrency": 4})
    check = finding(result, "rate")
    assert check.status == INVALID
    assert "--max-concurrency" in check.remedy
    assert check.details["sent"] < check.details["scheduled"]
    assert finding(result, "send_lag").status == INVALID


def test_one_failure_in_a_hundred() -> None:
    with PacedServer(ttft_ms=5, itl_ms=1, faults=["status=503:0.01"], seed=7) as server:
        result = run(server, load={"num_prompts": 400, "max_concurrency": 16}, osl=5)
    assert 0 < result.requests["failed"] <= 12
    check = finding(result, "failures")
    assert check.status == INVALID
    assert check.reason.endswith("of requests failed (above 0.0%)")
    assert "lower --max-concurrency" in check.remedy


def test_a_step_of_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock()
    monkeypatch.setattr(client_module, "LoadClient", functools.partial(LoadClient, wall_clock=clock))

    def step(progress: Mapping[str, int]) -> None:
        if progress["n_done"] >= 20 and not stepped:
            stepped.append(progress["n_done"])
            clock.step(2_000_000)

    stepped: list[int] = []
    with PacedServer(ttft_ms=20, itl_ms=5) as server:
        result = run(server, load=CLOSED, on_progress=step)
    if result.client["stamp_source"] != "kernel":
        pytest.skip("no kernel stamps here: the wall clock plays no part")
    check = finding(result, "clock")
    assert (check.status, check.value) == (WARN, 1)
    assert check.details["n_events_stepped"] > 0
    assert "time synchronisation" in check.remedy
    assert result.latencies["ttft"]["min"] > 15e6  # what was stamped around the step is not off by 2 ms


def test_too_few_samples_for_a_percentile_that_was_named() -> None:
    with PacedServer(ttft_ms=5, itl_ms=1) as server:
        result = run(server, load=CLOSED, metric_percentiles=(99.0,), percentiles_named=True)
    check = finding(result, "samples")
    assert check.status == INVALID
    assert "P99 TTFT has 80 and needs 100" in check.reason
    assert "--num-prompts" in check.remedy


def test_a_run_that_is_all_ramp() -> None:
    with PacedServer(ttft_ms=50, itl_ms=5) as server:
        result = run(server, load={"num_prompts": 16, "max_concurrency": 16})
    check = finding(result, "steady")
    assert check.status == WARN
    assert "no steady part" in check.reason
    assert "raise --num-prompts to 80 or more" in check.reason
    assert result.steady is not None
    assert result.steady["t_start_ns"] is None


def test_a_server_that_sends_several_events_at_once() -> None:
    with PacedServer(ttft_ms=10, itl_ms=10, events_per_send=4) as server:
        result = run(server, load=CLOSED)
    check = finding(result, "coalesced")
    assert check.status == WARN
    assert "TPOT" in check.remedy
    assert finding(result, "first_token_shared").status == WARN


def test_a_stall_lengthens_the_response_of_all_that_were_due_meanwhile(tmp_path: Path) -> None:
    """Counted from the schedule nothing is omitted: who wanted to send while the server stood still waited for it."""
    rate, seconds = 100.0, 2.0
    with PacedServer(mode="independent", ttft_ms=10, itl_ms=2) as server:
        freezer = Freezer(server, 100, seconds)
        result = run(
            server,
            load={"num_prompts": 500, "request_rate": rate, "burstiness": 100.0, "max_concurrency": 20},
            osl=4,
            on_progress=freezer,
            save_result=True,
            result_dir=str(tmp_path),
            result_filename="a.json",
        )
        freezer.join()
    from tokenclock.report.columns_file import read

    records = read(tmp_path / "a.columns.npz")
    due = records.columns["t_scheduled_ns"] + records.epoch_ns
    start, end = freezer.frozen_ns
    meanwhile = (due > start + 50e6) & (due < end - 50e6)
    assert meanwhile.sum() == pytest.approx(rate * seconds, rel=0.15)
    first = records.columns["t_first_token_ns"] + records.epoch_ns
    response = first - due
    # each waited for the end of the stall at least
    assert (response[meanwhile] >= end - due[meanwhile] - 20e6).all()
    # from sending, those that waited for a slot look as if nothing had been
    service = first - records.columns["t_sent_ns"] - records.epoch_ns
    assert np.mean(service[meanwhile] > 100e6) < 0.5
    p90 = {tag: result.latencies[tag]["percentiles"]["rank"]["90"] for tag in ("ttft", "response_ttft")}
    assert p90["response_ttft"] > 1e9 > p90["ttft"]
    assert dataclasses.asdict(finding(result, "silence"))["status"] == WARN
