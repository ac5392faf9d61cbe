"""Samples of GPUs around commands, of a stand-in sampler: a real one needs a GPU."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from tokenclock.device.usage import DeviceUsage, GpuUsage
from tokenclock.perftest import gpu_monitor
from tokenclock.perftest.gpu_monitor import GpuMonitor


class Sampler:
    """As `GpuMemoryMonitor`, with figures that count."""

    def __init__(self, unavailable: str | None = None) -> None:
        self.unavailable = unavailable
        self.n = 0
        self.is_stopped = False

    def start(self) -> None:
        pass

    def begin(self, label: str = "") -> None:
        self.n += 1

    def end(self) -> GpuUsage:
        mhz = {"min": 1.0, "mean": 1000.0 + self.n, "max": 3.0}
        device = DeviceUsage(
            3, "GPU-x", "H100", None, 1, clocks={"sm_mhz": mhz, "memory_mhz": None}, process_peaks={1: 2, 5: 6}
        )
        return GpuUsage.over([device])

    def stop(self) -> None:
        self.is_stopped = True


def test_samples_are_added_and_the_last_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_monitor, "_INTERVAL_S", 0.05)
    sampler, path = Sampler(), tmp_path / "gpu_monitoring.csv"
    with GpuMonitor(path, sampler) as monitor:  # type: ignore[arg-type]
        monitor.begin()
        time.sleep(0.18)
        monitor.end()
        after_first = sampler.n
        monitor.begin()
        monitor.end()
    assert sampler.is_stopped
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == gpu_monitor.COLUMNS
    assert 2 <= after_first <= 5
    assert len(rows) == after_first + 1
    assert rows[0]["gpu_id"] == "3"
    assert rows[0]["gpu_clock__MHz"] == "1001.0"
    assert (rows[0]["memory_clock__MHz"], rows[0]["power_draw__W"], rows[0]["fan_speed__pct"]) == ("", "", "")
    assert rows[0]["process_num"] == "2"
    assert monitor.last[3]["gpu_clock__MHz"] == 1000.0 + sampler.n


def test_without_a_gpu_there_are_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "gpu_monitoring.csv"
    gpu_monitor.write_header(path)
    with GpuMonitor(path, Sampler("no GPU")) as monitor:  # type: ignore[arg-type]
        monitor.begin()
        monitor.end()
    assert path.read_text() == ",".join(gpu_monitor.COLUMNS) + "\n"
    assert monitor.last == {}
