"""The monitor and its sampler process, on the stand-in of NVML behind NVIDIA's own package."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from tests.stand_ins import FakeGpus

from tokenclock.device import gpu_memory
from tokenclock.device.gpu_memory import GpuMemoryMonitor
from tokenclock.device.usage import GpuUsage
from tokenclock.errors import UsageError

ME = os.getpid()
GIB = 1 << 30


def settle() -> None:
    """Long enough for some looks, fast and slow ones."""
    time.sleep(0.3)


def joined(usage: GpuUsage) -> str:
    return "\n".join(usage.warnings)


def test_peaks_per_case_weights_and_the_whole_run(gpus: FakeGpus) -> None:
    gpus.set("used 0 10", f"process 0 {ME} 5")
    with GpuMemoryMonitor() as monitor:
        assert monitor.unavailable is None
        gpus.set("used 0 3000", f"process 0 {ME} 2000", "process 0 1 1000")
        monitor.mark_loaded()
        monitor.begin("first")
        gpus.set("used 0 7000", f"process 0 {ME} 4000", "process 0 1 3000", "energy 0 1500000", "power 0 300000")
        settle()
        gpus.set("used 0 3500", f"process 0 {ME} 2500", "process 0 1 1000", "energy 0 1500000")
        first = monitor.end()
        monitor.begin("second")
        second = monitor.end()
        whole = monitor.stop()
    assert (first.label, first.peak_process_bytes, first.peak_device_bytes) == ("first", 4000, 7000)
    assert first.weights_bytes == 2000
    assert first.energy_j == 500.0  # the counter stood at 1000 J
    assert first.per_device[0].power_w is not None
    assert first.per_device[0].power_w["max"] == 300.0
    assert first.per_device[0].loaded_device_bytes == 3000
    assert first.duration_s is not None
    assert first.duration_s >= 0.3
    assert first.warnings == ()
    assert (second.label, second.peak_process_bytes, second.peak_device_bytes) == ("second", 2500, 3500)
    assert second.energy_j == 0.0
    assert (whole.usage.label, whole.usage.peak_process_bytes, whole.usage.peak_device_bytes) == (None, 4000, 7000)
    assert (whole.driver_version, whole.cuda_version) == ("550.54.15", "12.4")
    assert whole.n_samples >= 5
    assert whole.interval_ms == 10.0
    assert whole.longest_gap_ms is not None
    assert whole.achieved_interval_ms is not None
    assert whole.longest_gap_ms >= whole.achieved_interval_ms
    assert whole.sampler_cpu_share is not None
    assert 0 < whole.sampler_cpu_share < 1
    assert monitor.stop() is whole


def test_clocks_temperature_and_reasons(gpus: FakeGpus) -> None:
    gpus.set("sm 0 1410", "memory 0 1593", "temperature 0 71", "reasons 0 36")
    with GpuMemoryMonitor() as monitor:
        monitor.begin()
        usage = monitor.end()
    assert usage.clocks["sm_mhz"] == {"min": 1410, "mean": 1410, "max": 1410}
    assert usage.clocks["memory_mhz"] == {"min": 1593, "mean": 1593, "max": 1593}
    assert usage.temperature == {"min": 71, "mean": 71, "max": 71}
    assert usage.throttle_reasons == {"sw_power_cap": 1.0, "sw_thermal_slowdown": 1.0}  # 0x4 and 0x20


def test_memory_of_children_counts(gpus: FakeGpus) -> None:
    code = "import sys; held = bytearray(b'x') * (64 << 20); print('up', flush=True); sys.stdin.read()"
    with GpuMemoryMonitor() as monitor:
        monitor.begin("alone")
        alone = monitor.end()
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with child:
            assert child.stdout is not None
            assert child.stdin is not None
            child.stdout.readline()
            gpus.set(f"process 0 {ME} 100", f"process 0 {child.pid} 1000", "process 0 1 7")
            monitor.begin("with a worker")
            usage = monitor.end()
            child.stdin.close()
    assert usage.peak_process_bytes == 1100
    assert usage.per_device[0].process_peaks == {ME: 100, child.pid: 1000}
    assert set(usage.per_device[0].process_names) == {ME, child.pid}
    assert usage.host_peak_rss_bytes is not None
    assert alone.host_peak_rss_bytes is not None
    assert usage.host_peak_rss_bytes - alone.host_peak_rss_bytes >= 64 << 20


def test_everybody_on_every_gpu(gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    gpus.set("gpus 2", "process 0 1 10", "process 1 1 30", "process 1 2 5")
    with GpuMemoryMonitor(devices="all", pids="all") as monitor:
        monitor.begin()
        usage = monitor.end()
    assert [device.index for device in usage.per_device] == [0, 1]
    assert usage.peak_process_bytes == 35
    assert usage.host_peak_rss_bytes is None  # nobody's in particular


@pytest.mark.parametrize(
    ("visible", "devices", "expected"),
    [
        (None, None, [0, 1, 2]),
        ("2,0", None, [2, 0]),
        ("2,0", [1], [0]),
        ("GPU-00000000-0000-0000-0000-000000000001", [0], [1]),
    ],
)
def test_devices_are_cuda_s_numbers(
    gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch, visible: str | None, devices: list[int] | None, expected: list[int]
) -> None:
    gpus.set("gpus 3")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with GpuMemoryMonitor(devices=devices) as monitor:
        monitor.begin()
        assert [device.index for device in monitor.end().per_device] == expected


def test_a_device_that_is_not_there(gpus: FakeGpus) -> None:
    with GpuMemoryMonitor(devices=[0, 4]) as monitor:
        assert monitor.unavailable is None
        assert "there is no CUDA device 4: 1 are visible" in joined(monitor.stop().usage)
    with GpuMemoryMonitor(devices=[4]) as monitor:
        assert monitor.unavailable is not None


def test_all_gpus_hidden(gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with GpuMemoryMonitor() as monitor:
        assert monitor.unavailable == "no GPU is visible to this process (CUDA_VISIBLE_DEVICES=)"


def test_several_models_make_numbers_doubtful(gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus.set("gpus 2", "model 1 B200")
    with GpuMemoryMonitor() as monitor:
        assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID" in joined(monitor.stop().usage)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    with GpuMemoryMonitor() as monitor:
        assert "CUDA_DEVICE_ORDER" not in joined(monitor.stop().usage)


@pytest.mark.parametrize(
    ("call", "code", "missing", "word"),
    [
        ("nvmlDeviceGetComputeRunningProcesses_v3", 4, "peak_process_bytes", "processes"),
        ("nvmlDeviceGetPowerUsage", 3, "mean_power_w", "power_w"),
        ("nvmlDeviceGetTemperature", 3, "temperature", "temperature_c"),
        ("nvmlDeviceGetCurrentClocksEventReasons", 4, "throttle_reasons", "throttle_mask"),
    ],
)
def test_what_is_not_permitted_or_supported_is_missing_and_told_once(
    gpus: FakeGpus, call: str, code: int, missing: str, word: str
) -> None:
    gpus.set(f"fail {call} {code}", f"process 0 {ME} 5")
    with GpuMemoryMonitor() as monitor:
        monitor.begin()
        settle()
        usage = monitor.end()
    assert getattr(usage, missing) is None
    assert usage.peak_device_bytes == GIB
    told = [warning for warning in usage.warnings if f"GPU 0 does not tell {word}" in warning]
    assert len(told) == 1
    assert "\n" not in told[0]


def test_an_error_of_the_moment_costs_that_moment_only(gpus: FakeGpus) -> None:
    gpus.set("fail nvmlDeviceGetMemoryInfo_v2 999")
    with GpuMemoryMonitor() as monitor:
        monitor.begin()
        gpus.set("used 0 77")
        usage = monitor.end()
    assert usage.peak_device_bytes == 77
    assert "memory could not be read at times" in joined(usage)


def test_without_an_energy_counter_power_is_summed_up(gpus: FakeGpus) -> None:
    gpus.set("fail nvmlDeviceGetTotalEnergyConsumption 3", "power 0 200000")
    with GpuMemoryMonitor() as monitor:
        monitor.begin()
        settle()
        usage = monitor.end()
    device = usage.per_device[0]
    assert device.energy_source == "power samples"
    assert usage.energy_j == pytest.approx(200.0 * usage.duration_s, rel=0.2)


def test_an_older_driver(gpus: FakeGpus) -> None:
    gpus.set("used 0 123", "fail nvmlDeviceGetMemoryInfo_v2 13")
    with GpuMemoryMonitor() as monitor:
        monitor.begin()
        assert monitor.end().peak_device_bytes == 123


def test_a_gpu_that_falls_off(gpus: FakeGpus) -> None:
    gpus.set("gpus 2", f"process 0 {ME} 5", f"process 1 {ME} 6")
    with GpuMemoryMonitor() as monitor:
        monitor.begin("sound")
        assert monitor.end().peak_process_bytes == 6
        monitor.begin("lost")
        gpus.set("gpus 2", f"process 0 {ME} 5", "fail nvmlDeviceGetMemoryInfo_v2 15 1")
        settle()
        usage = monitor.end()
    assert [device.lost for device in usage.per_device] == [False, True]
    assert usage.peak_process_bytes is None
    assert usage.per_device[0].peak_process_bytes == 5
    assert "GPU 1 fell off the bus" in joined(usage)
    assert "GPU is lost" in joined(usage)


def test_a_gpu_that_is_lost_before_the_start(gpus: FakeGpus) -> None:
    gpus.set("gpus 2", "fail nvmlDeviceGetHandleByIndex_v2 15 1")
    with GpuMemoryMonitor() as monitor:
        assert monitor.unavailable is None
        whole = monitor.stop()
    assert [device.index for device in whole.usage.per_device] == [0]
    assert "GPU 1 cannot be opened: GPU is lost" in joined(whole.usage)


def test_a_mig_slice(gpus: FakeGpus) -> None:
    gpus.set("mig 0 1", "slices 0 2", "used 100 50", f"process 100 {ME} 40")
    with GpuMemoryMonitor() as monitor:
        monitor.begin()
        usage = monitor.end()
    assert [device.uuid for device in usage.per_device] == ["MIG-00000000-0000-0000-0000-000000000064"]
    assert (usage.peak_process_bytes, usage.peak_device_bytes) == (40, 50)
    assert usage.mean_power_w is None
    assert usage.energy_j is None
    assert "is a MIG slice: power, energy, clocks and temperature are of the whole GPU: n/a" in joined(usage)


def test_processes_known_by_other_numbers(gpus: FakeGpus) -> None:
    gpus.set("process 0 999999 5")
    with GpuMemoryMonitor() as monitor:
        monitor.begin()
        assert monitor.end().peak_process_bytes is None
        assert "NVML lists none of the processes measured" in joined(monitor.stop().usage)


def test_without_nvml_the_host_s_memory_is_still_watched(no_gpu: None) -> None:
    with GpuMemoryMonitor() as monitor:
        assert monitor.unavailable is not None
        assert "install the NVIDIA driver" in monitor.unavailable
        monitor.begin("case")
        held = bytearray(b"x") * (64 << 20)
        settle()
        usage = monitor.end()
        del held
        whole = monitor.stop()
    assert usage.peak_device_bytes is None
    assert usage.per_device == ()
    assert usage.host_peak_rss_bytes is not None
    assert usage.host_peak_rss_bytes > 64 << 20
    assert whole.unavailable == monitor.unavailable


def test_without_the_package(no_gpu: None, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pynvml.py").write_text("raise ImportError('no module named pynvml')")  # type: ignore[operator]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with GpuMemoryMonitor() as monitor:
        assert monitor.unavailable == "NVML needs nvidia-ml-py: pip install 'tokenclock[gpu]'"


def test_a_driver_that_is_not_loaded(gpus: FakeGpus) -> None:
    gpus.set("fail nvmlInitWithFlags 9")
    with GpuMemoryMonitor() as monitor:
        assert monitor.unavailable == "NVML does not start: Driver Not Loaded; see what nvidia-smi says"


def test_no_gpus_at_all(gpus: FakeGpus) -> None:
    gpus.set("gpus 0")
    with GpuMemoryMonitor() as monitor:
        assert monitor.unavailable == "NVML lists no GPU; see what nvidia-smi says"


def test_a_sampler_that_dies_costs_its_figures_only(gpus: FakeGpus) -> None:
    monitor = GpuMemoryMonitor().start()
    monitor.begin("case")
    assert monitor._child is not None
    os.kill(monitor._child.pid, 9)
    usage = monitor.end()
    assert usage.peak_device_bytes is None
    assert usage.label == "case"
    assert "the sampler was lost (it has ended" in joined(usage)
    monitor.begin("next")
    assert monitor.end().peak_device_bytes is None
    assert "the sampler was lost" in joined(monitor.stop().usage)


def test_a_sampler_that_hangs_in_the_driver_costs_a_limited_time(
    gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = GpuMemoryMonitor().start()
    monitor.begin("case")
    monkeypatch.setattr(gpu_memory, "_ANSWER_LIMIT_S", 0.5)
    gpus.set("hang nvmlDeviceGetPowerUsage")
    start_s = time.monotonic()
    assert monitor.end().peak_device_bytes is None
    whole = monitor.stop()
    assert time.monotonic() - start_s < 20
    assert whole.unavailable is not None
    assert "gave no answer within 0.5 s" in whole.unavailable


def test_a_driver_that_hangs_at_the_start(gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus.set("hang nvmlDeviceGetCount_v2")
    monkeypatch.setattr(gpu_memory, "_START_LIMIT_S", 1.0)
    with GpuMemoryMonitor() as monitor:
        assert monitor.unavailable == "the sampler did not start: it gave no answer within 1 s"
        monitor.begin()
        assert monitor.end().peak_device_bytes is None


def test_it_ends_with_the_process_that_started_it(gpus: FakeGpus) -> None:
    code = """
        import os
        from tokenclock import GpuMemoryMonitor
        monitor = GpuMemoryMonitor().start()
        print(monitor._child.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    import textwrap

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    sampler = int(done.stdout)
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s and _lives(sampler):
        time.sleep(0.05)
    assert not _lives(sampler)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_slow_looks_are_fewer(gpus: FakeGpus) -> None:
    """50 ms a look, asked for every 10 ms: the sampler rests three times as long as a look took."""
    gpus.set("slow nvmlDeviceGetMemoryInfo_v2 50000")
    with GpuMemoryMonitor() as monitor:
        time.sleep(1.0)
        whole = monitor.stop()
    assert whole.achieved_interval_ms is not None
    assert whole.achieved_interval_ms > 100


def test_before_the_start_and_without_a_case_nothing_is_known() -> None:
    monitor = GpuMemoryMonitor()
    assert monitor.unavailable == "not started"
    monitor.begin("x")
    assert monitor.end().peak_device_bytes is None
    assert monitor.stop().n_samples == 0
    assert monitor.start().unavailable == "not started"  # once stopped it stays so


def test_an_end_without_a_begin(gpus: FakeGpus) -> None:
    with GpuMemoryMonitor() as monitor:
        usage = monitor.end()
    assert usage.per_device == ()
    assert usage.peak_device_bytes is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interval_ms": 0.5}, r"interval_ms: expected 1 to 60000 ms, got 0\.5"),
        ({"interval_ms": float("nan")}, "interval_ms"),
        ({"devices": [-1]}, "devices: expected a list of whole numbers from 0"),
        ({"devices": []}, "devices"),
        ({"pids": "me"}, 'pids: expected a list of whole numbers from 0, or "all"'),
        ({"pids": [True]}, "pids"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        GpuMemoryMonitor(**arguments)  # type: ignore[arg-type]
