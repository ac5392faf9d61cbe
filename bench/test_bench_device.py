"""What watching costs: a CUDA event, and a loop beside the memory sampler; on stand-ins of NVIDIA's libraries."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests import stand_ins

from tokenclock import GpuMemoryMonitor

N_ROUNDS = 100
ITERATIONS = 40

RECORD = """
import json, statistics, time
from tokenclock import _core
n = 20_000
pool = _core.CudaEventPool(512)

def loop(work):
    start_ns = time.perf_counter_ns()
    for i in range(n):
        work(i % 1024)
    return (time.perf_counter_ns() - start_ns) / n

record = pool.record
rounds = [(loop(lambda i: record(i, 0)), loop(lambda i: None), _core.bench.cuda_record_ns(n)) for _ in range(9)]
python_ns, empty_ns, native_ns = (statistics.median(column) for column in zip(*rounds))
print(json.dumps({"python_ns": python_ns - empty_ns, "native_ns": native_ns}))
"""


def test_recording_an_event(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """On the stand-in: our own part of the cost. The real driver's own part comes on top, about 1 us."""

    def run() -> dict[str, float]:
        environment = {**os.environ, "TOKENCLOCK_LIBCUDA": str(stand_ins.libcuda())}
        done = subprocess.run([sys.executable, "-c", RECORD], env=environment, capture_output=True, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        return found

    found = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(found)
    with capsys.disabled():
        print(
            f"\na CUDA event recorded on the stand-in driver: {found['native_ns']:.0f} ns native, "
            f"{found['python_ns']:.0f} ns from Python"
        )


def compute_ns() -> int:
    """One iteration: a fixed amount of arithmetic of about 1 ms; returns what it took."""
    start_ns = time.perf_counter_ns()
    total = 0
    for k in range(12_000):
        total += k * k
    return time.perf_counter_ns() - start_ns


def median_of(n: int) -> float:
    return statistics.median(compute_ns() for _ in range(n))


def test_a_loop_beside_the_sampler(
    benchmark: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short rounds with the sampler asleep and awake in turn: a busy moment of the machine strikes both alike."""
    state = stand_ins.FakeGpus(tmp_path / "gpus.txt")
    state.set("gpus 8", f"process 0 {os.getpid()} 1000")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stand_ins.directory()))
    monkeypatch.setenv("FAKE_NVML_STATE", str(state.path))
    n_rounds, n = (1, 1) if benchmark.disabled else (N_ROUNDS, ITERATIONS)
    ratios = []
    with GpuMemoryMonitor(devices="all") as monitor:
        assert monitor._child is not None
        sampler = monitor._child.pid
        for _ in range(n_rounds):
            os.kill(sampler, signal.SIGSTOP)
            without_ns = median_of(n)
            os.kill(sampler, signal.SIGCONT)
            ratios.append(median_of(n) / without_ns)
    with GpuMemoryMonitor(devices="all") as monitor:
        median_of(10 * n)
        whole = monitor.stop()
    benchmark.pedantic(compute_ns, rounds=1)
    found = {
        "median_ratio": statistics.median(ratios),
        "cpu_share": whole.sampler_cpu_share,
        "interval_ms": whole.achieved_interval_ms,
    }
    benchmark.extra_info.update(found)
    quarter, _, three_quarters = statistics.quantiles([*ratios, ratios[-1]], n=4)
    with capsys.disabled():
        print(
            f"\nmedian iteration with the sampler of 8 stand-in GPUs / without it: {found['median_ratio']:.4f} (median "
            f"of {len(ratios)} rounds, half of them {quarter:.3f} to {three_quarters:.3f}); the sampler used "
            f"{found['cpu_share']:.1%} of a core and looked every {found['interval_ms']:.1f} ms"
        )
