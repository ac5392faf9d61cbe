"""Figures of a stretch of time from samples of one GPU, or of the host: sums, peaks, means. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["DeviceSample", "DeviceWindow", "HostWindow"]


@dataclass(frozen=True)
class DeviceSample:
    """One look at one GPU; None: not looked at, or not told.

    Args:
        t_ns: when, on any one clock.
        used_bytes: of the whole device.
        processes: process id -> bytes; the bytes are None where not told.
        power_w, sm_mhz, memory_mhz, temperature_c: as read.
        energy_j: counter.
        throttle_reasons: names of the reasons at that moment.
        utilization_percent: share of the time since the last look of the driver in which a kernel ran, 0 to 100.
    """

    t_ns: int
    used_bytes: int | None = None
    processes: dict[int, int | None] | None = None
    power_w: float | None = None
    energy_j: float | None = None
    sm_mhz: float | None = None
    memory_mhz: float | None = None
    temperature_c: float | None = None
    throttle_reasons: list[str] | None = None
    utilization_percent: float | None = None

    def process_bytes(self, followed: frozenset[int] | None) -> int | None:
        """Sum over the followed processes (None: over all); None when none of them is listed, or one is not told."""
        if self.processes is None:
            return None
        held = [size for pid, size in self.processes.items() if followed is None or pid in followed]
        told = [size for size in held if size is not None]
        return sum(told) if held and len(told) == len(held) else None


@dataclass
class _Range:
    """Least, mean and greatest of what came."""

    n: int = 0
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")

    def add(self, value: float | None) -> None:
        if value is not None:
            self.n += 1
            self.total += value
            self.least, self.most = min(self.least, value), max(self.most, value)

    def figures(self) -> dict[str, float] | None:
        return {"min": self.least, "mean": self.total / self.n, "max": self.most} if self.n else None


@dataclass
class DeviceWindow:
    """Takes samples in the order of time; `figures` may be asked at any time.

    Energy is the difference of the counter between the first and the last sample that have it; where the device has no
    counter, the integral of the power samples by trapezoids. ``throttle_reasons`` are shares of the samples looked at.
    """

    n_samples: int = 0
    lost: bool = False  # the GPU fell off: no figure of this window holds
    _t_first_ns: int | None = None
    _t_last_ns: int = 0
    _peak_device: int | None = None
    _peak_process: int | None = None
    _peaks: dict[int, int] = field(default_factory=dict)
    _power: _Range = field(default_factory=_Range)
    _sm: _Range = field(default_factory=_Range)
    _memory_clock: _Range = field(default_factory=_Range)
    _temperature: _Range = field(default_factory=_Range)
    _energy: tuple[float, float] | None = None  # first and last reading of the counter
    _power_before: tuple[int, float] | None = None
    _power_area_j: float | None = None
    _reasons: dict[str, int] = field(default_factory=dict)
    _n_reasons: int = 0

    def add(self, sample: DeviceSample, followed: frozenset[int] | None) -> None:
        """Count one sample; `followed` as in `DeviceSample.process_bytes`."""
        self.n_samples += 1
        self._t_first_ns = sample.t_ns if self._t_first_ns is None else self._t_first_ns
        self._t_last_ns = sample.t_ns
        self._peak_device = _most(self._peak_device, sample.used_bytes)
        self._peak_process = _most(self._peak_process, sample.process_bytes(followed))
        for pid, size in (sample.processes or {}).items():
            if size is not None and (followed is None or pid in followed):
                self._peaks[pid] = max(self._peaks.get(pid, 0), size)
        self._power.add(sample.power_w)
        self._sm.add(sample.sm_mhz)
        self._memory_clock.add(sample.memory_mhz)
        self._temperature.add(sample.temperature_c)
        self._add_energy(sample)
        if sample.throttle_reasons is not None:
            self._n_reasons += 1
            for name in sample.throttle_reasons:
                self._reasons[name] = self._reasons.get(name, 0) + 1

    def _add_energy(self, sample: DeviceSample) -> None:
        if sample.energy_j is not None:
            self._energy = (sample.energy_j if self._energy is None else self._energy[0], sample.energy_j)
        if sample.power_w is None:
            return
        if self._power_before is not None:
            t_before_ns, before_w = self._power_before
            area_j = (sample.t_ns - t_before_ns) / 1e9 * (before_w + sample.power_w) / 2
            self._power_area_j = (self._power_area_j or 0.0) + area_j
        self._power_before = (sample.t_ns, sample.power_w)

    def figures(self) -> dict[str, Any]:
        """All figures by the names of `usage.DeviceUsage`; None where nothing was told, all None once it is lost."""
        if self.lost:
            return {"n_samples": self.n_samples, "lost": True}
        energy_j = self._power_area_j if self._energy is None else self._energy[1] - self._energy[0]
        source = "power samples" if self._energy is None else "counter"
        return {
            "n_samples": self.n_samples,
            "lost": False,
            "peak_device_bytes": self._peak_device,
            "peak_process_bytes": self._peak_process,
            "process_peaks": self._peaks,
            "power_w": self._power.figures(),
            "energy_j": energy_j,
            "energy_source": None if energy_j is None else source,
            "clocks": {"sm_mhz": self._sm.figures(), "memory_mhz": self._memory_clock.figures()},
            "temperature_c": self._temperature.figures(),
            "throttle_reasons": None
            if not self._n_reasons
            else {name: count / self._n_reasons for name, count in sorted(self._reasons.items())},
        }


@dataclass
class HostWindow:
    """Peak of the resident memory of the processes followed."""

    n_samples: int = 0
    peak_rss_bytes: int | None = None

    def add(self, rss_bytes: int | None) -> None:
        """Count one sample; None: nothing could be read."""
        self.n_samples += 1
        self.peak_rss_bytes = _most(self.peak_rss_bytes, rss_bytes)

    def figures(self) -> dict[str, Any]:
        """By the names of `usage.GpuUsage`."""
        return {"n_samples": self.n_samples, "host_peak_rss_bytes": self.peak_rss_bytes}


def _most(before: int | None, value: int | None) -> int | None:
    return before if value is None else value if before is None else max(before, value)
