"""The calls of the stand-in tests on a real GPU. Skipped where there is none: then they are not tested on hardware."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tokenclock import CudaEventTimer, GpuMemoryMonitor, _core
from tokenclock.device.cuda import device_facts, visible_index
from tokenclock.device.facts import collect_facts, has_driver

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not has_driver() or bool(_core.cuda_problem()),
        reason="needs an NVIDIA GPU and its driver, and there is none here",
    ),
]


def test_events_on_the_default_streams() -> None:
    for stream in (0, 1, 2):
        with CudaEventTimer(stream) as timer:
            time.sleep(0.01)  # the second event is queued 10 ms after the first one
        assert timer.elapsed_ms() == pytest.approx(10.0, rel=1.0)


def test_a_pool_of_many_on_a_stream_of_the_driver_s_package() -> None:
    driver = pytest.importorskip("cuda.bindings.driver", reason="needs cuda-bindings: pip install 'tokenclock[gpu]'")
    driver.cuInit(0)
    _, context = driver.cuDevicePrimaryCtxRetain(0)
    driver.cuCtxSetCurrent(context)
    code, stream = driver.cuStreamCreate(1)
    assert code == driver.CUresult.CUDA_SUCCESS
    pool = _core.CudaEventPool(1000, stream=int(stream))
    for event in range(2000):
        pool.record(event, int(stream))
    assert pool.wait(10.0)
    assert (pool.elapsed_ns() >= 0).all()
    assert pool.between_ns(0, 1999) >= int(pool.elapsed_ns().sum())


def test_an_error_of_the_driver_has_its_words() -> None:
    with pytest.raises(_core.CudaError, match=r"cuDeviceGet failed: CUDA_ERROR_INVALID_DEVICE \(101\): "):
        _core.CudaEventPool(1, device=999)


def test_facts_agree_with_nvml() -> None:
    facts, found = device_facts(0), collect_facts()
    assert facts is not None
    assert found is not None
    assert facts.compute_cap is not None
    assert facts.compute_cap.startswith("sm")
    assert facts.count >= 1
    assert visible_index(facts.count) == 0
    assert found["problems"] == []
    gpu = next(gpu for gpu in found["gpus"] if gpu["index"] == facts.host_index)
    assert facts.uuid == gpu["uuid"] or facts.uuid in gpu["slices"]
    assert facts.uuid.startswith("MIG-") or facts.name == gpu["name"]


def test_memory_of_this_process_s_child_is_seen() -> None:
    code = """
import sys
from tokenclock import _core
pool = _core.CudaEventPool(1)  # makes a context, which holds memory
print("up", flush=True)
sys.stdin.read()
"""
    with GpuMemoryMonitor() as monitor:
        assert monitor.unavailable is None
        monitor.begin("context")
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(1.5)
            usage = monitor.end()
            child.communicate()
        whole = monitor.stop()
    assert usage.peak_device_bytes is not None
    assert usage.peak_device_bytes > 0
    if usage.peak_process_bytes is None:  # a container with process numbers of its own
        assert any("NVML lists none" in warning for warning in whole.usage.warnings)
    else:
        assert usage.peak_process_bytes > 10 << 20
    assert usage.mean_power_w is None or usage.mean_power_w > 1
