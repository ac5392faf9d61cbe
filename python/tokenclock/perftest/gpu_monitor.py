"""`gpu_monitoring.csv`: GPUs once a second while a command runs; the header alone where there is no GPU."""

from __future__ import annotations

import contextlib
import csv
import io
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenclock.device.facts import has_driver

if TYPE_CHECKING:
    from tokenclock.device.gpu_memory import GpuMemoryMonitor
    from tokenclock.device.usage import DeviceUsage

__all__ = ["COLUMNS", "FILE_NAME", "GpuMonitor", "append_samples", "write_header"]

COLUMNS = (
    "gpu_id",
    "timestamp",
    "gpu_clock__MHz",
    "memory_clock__MHz",
    "graphics_clock__MHz",
    "gpu_utilization__pct",
    "memory_utilization__pct",
    "encoder_utilization__pct",
    "decoder_utilization__pct",
    "gpu_temperature__C",
    "memory_temperature__C",
    "fan_speed__pct",
    "perf_state",
    "power_draw__W",
    "process_num",
)
"""Of the file, in order; columns that our sampler does not ask for stay empty."""

FILE_NAME = "gpu_monitoring.csv"
_INTERVAL_S = 1.0


class GpuMonitor:
    """Context manager around the commands of a repeat; call `begin` and `end` around each. Raises nothing.

    Args:
        path: file that samples are added to; None: they are only kept in `last`.
        monitor: the sampler; None: that of this machine, where it has a driver.
    """

    def __init__(self, path: Path | None, monitor: GpuMemoryMonitor | None = None) -> None:
        self._path = path
        self._monitor = monitor
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        #: GPU -> its last sample, by column; empty without a GPU
        self.last: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> GpuMonitor:
        if self._monitor is None and has_driver():
            self._monitor = _sampler()
        if self._monitor is not None:
            self._monitor.start()
            if self._monitor.unavailable is not None:
                self._monitor.stop()
                self._monitor = None
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        if self._monitor is not None:
            self._monitor.stop()

    def begin(self) -> None:
        """A command begins."""
        if self._monitor is None or self._thread is not None:
            return
        self._stop.clear()
        self._monitor.begin()
        self._thread = threading.Thread(target=self._sample, name="gpu-monitor", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """It has ended; one last sample is taken."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _sample(self) -> None:
        assert self._monitor is not None
        going = True
        while going:
            going = not self._stop.wait(_INTERVAL_S)
            usage = self._monitor.end()
            if going:
                self._monitor.begin()
            rows = [_row(device) for device in usage.per_device]
            self.last |= {int(row["gpu_id"]): row for row in rows}
            if self._path is not None and rows:
                with contextlib.suppress(OSError):
                    append_samples(self._path, rows)


def write_header(path: Path) -> None:
    """Make the file, with its header alone, where it is not there. Raises OSError."""
    with contextlib.suppress(FileExistsError), open(path, "x", encoding="utf-8") as file:
        file.write(",".join(COLUMNS) + "\n")


def append_samples(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add samples to the file, in one write. Raises OSError."""
    write_header(path)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([row.get(column, "") for column in COLUMNS] for row in rows)
    with open(path, "a", encoding="utf-8") as file:
        file.write(text.getvalue())


def _row(device: DeviceUsage) -> dict[str, Any]:
    values = {
        "gpu_id": device.index,
        "timestamp": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S}",
        "gpu_clock__MHz": _mean(device.clocks.get("sm_mhz")),
        "memory_clock__MHz": _mean(device.clocks.get("memory_mhz")),
        "gpu_temperature__C": _mean(device.temperature_c),
        "power_draw__W": _mean(device.power_w),
        "process_num": len(device.process_peaks),
    }
    return {name: value for name, value in values.items() if value is not None}


def _mean(found: Mapping[str, float] | None) -> float | None:
    return None if found is None else round(found["mean"], 1)


def _sampler() -> GpuMemoryMonitor:
    from tokenclock.device.gpu_memory import GpuMemoryMonitor

    return GpuMemoryMonitor(interval_ms=100.0, pids="all")
