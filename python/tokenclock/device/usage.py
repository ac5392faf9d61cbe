"""What the memory monitor found: frozen figures, each None where it is unknown. JSON-ready by `to_dict`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DeviceUsage", "GpuTelemetry", "GpuUsage"]

Range = Mapping[str, float]
"""``min``, ``mean`` and ``max`` of the samples."""


@dataclass(frozen=True)
class DeviceUsage:
    """One GPU, or one MIG slice, over a stretch of time.

    Args:
        index: NVML's number of the GPU, which is not always CUDA's.
        uuid: ``GPU-...`` or ``MIG-...``.
        name: such as ``NVIDIA H100 80GB HBM3``.
        memory_bytes: of the device in all.
        n_samples: looks at it.
        lost: it fell off during this time; every figure is None then.
        peak_device_bytes: most that was in use at one look, by anybody.
        peak_process_bytes: most that the followed processes held together at one look.
        weights_bytes: what they held when `mark_loaded` was called.
        loaded_device_bytes: what was in use by anybody then.
        process_peaks: process id -> most it held.
        process_names: process id -> its short name, where it could be read.
        power_w: min, mean and max of the power drawn.
        energy_j: used over this time.
        energy_source: ``counter`` of the device, or ``power samples`` integrated.
        clocks: ``sm_mhz`` and ``memory_mhz``, each min, mean and max.
        temperature_c: min, mean and max.
        throttle_reasons: reason -> share of the looks (0 to 1) at which it held the clocks down.
    """

    index: int
    uuid: str
    name: str | None
    memory_bytes: int | None
    n_samples: int
    lost: bool = False
    peak_device_bytes: int | None = None
    peak_process_bytes: int | None = None
    weights_bytes: int | None = None
    loaded_device_bytes: int | None = None
    process_peaks: Mapping[int, int] = field(default_factory=dict)
    process_names: Mapping[int, str] = field(default_factory=dict)
    power_w: Range | None = None
    energy_j: float | None = None
    energy_source: str | None = None
    clocks: Mapping[str, Range | None] = field(default_factory=dict)
    temperature_c: Range | None = None
    throttle_reasons: Mapping[str, float] | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DeviceUsage:
        """From the sampler's answer; JSON has made texts of process ids."""
        values = dict(data)
        for name in ("process_peaks", "process_names"):
            values[name] = {int(pid): value for pid, value in dict(values.get(name) or {}).items()}
        return cls(**values)


@dataclass(frozen=True)
class GpuUsage:
    """All GPUs watched, over one case or the whole run. Built by `over`.

    Args:
        label: as given to `begin`; None for the whole run.
        duration_s: of the stretch.
        peak_process_bytes, peak_device_bytes, weights_bytes: the largest of the GPUs', never their sum: what the
            fullest GPU needed.
        mean_power_w, energy_j: sums over the GPUs; None when one of them does not tell.
        clocks: ``sm_mhz`` and ``memory_mhz``: least, mean of means, greatest over the GPUs.
        temperature: the same, in degrees Celsius.
        throttle_reasons: reason -> the largest share among the GPUs.
        host_peak_rss_bytes: most that the followed processes held of the host's memory, pages shared among them
            counted in each.
        per_device: each GPU by itself.
        warnings: what is missing, and why; one line each.
    """

    label: str | None = None
    duration_s: float | None = None
    peak_process_bytes: int | None = None
    peak_device_bytes: int | None = None
    weights_bytes: int | None = None
    mean_power_w: float | None = None
    energy_j: float | None = None
    clocks: Mapping[str, Range | None] = field(default_factory=dict)
    temperature: Range | None = None
    throttle_reasons: Mapping[str, float] | None = None
    host_peak_rss_bytes: int | None = None
    per_device: tuple[DeviceUsage, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def over(
        cls,
        devices: Sequence[DeviceUsage],
        *,
        label: str | None = None,
        duration_s: float | None = None,
        host_peak_rss_bytes: int | None = None,
        warnings: Sequence[str] = (),
    ) -> GpuUsage:
        """Put the GPUs together. A GPU that fell off makes the largest unknown, not smaller."""
        reasons: dict[str, float] | None = None
        for device in devices:
            for name, share in (device.throttle_reasons or {}).items():
                reasons = {**(reasons or {}), name: max(share, (reasons or {}).get(name, 0.0))}
            if device.throttle_reasons is not None and reasons is None:
                reasons = {}
        return cls(
            label=label,
            duration_s=duration_s,
            peak_process_bytes=_largest(devices, "peak_process_bytes"),
            peak_device_bytes=_largest(devices, "peak_device_bytes"),
            weights_bytes=_largest(devices, "weights_bytes"),
            mean_power_w=_sum([None if d.power_w is None else d.power_w["mean"] for d in devices]),
            energy_j=_sum([d.energy_j for d in devices]),
            clocks={
                name: _joined([d.clocks.get(name) for d in devices]) for name in ("sm_mhz", "memory_mhz") if devices
            },
            temperature=_joined([d.temperature_c for d in devices]),
            throttle_reasons=reasons,
            host_peak_rss_bytes=host_peak_rss_bytes,
            per_device=tuple(devices),
            warnings=tuple(warnings),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return _plain(self)


@dataclass(frozen=True)
class GpuTelemetry:
    """A whole run, and the sampler itself.

    Args:
        usage: from the sampler's start to its stop.
        unavailable: why there are no figures of GPUs; None where there are.
        driver_version, cuda_version: of the machine's driver.
        interval_ms: asked for.
        achieved_interval_ms: mean time between two looks.
        longest_gap_ms: longest time between two looks; None with fewer than two.
        n_samples: looks in all.
        sampler_cpu_share: CPU time of the sampler from its first look to its last, as a share of one core.
    """

    usage: GpuUsage
    unavailable: str | None = None
    driver_version: str | None = None
    cuda_version: str | None = None
    interval_ms: float | None = None
    achieved_interval_ms: float | None = None
    longest_gap_ms: float | None = None
    n_samples: int = 0
    sampler_cpu_share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return _plain(self)


def _largest(devices: Sequence[DeviceUsage], name: str) -> int | None:
    told = [value for device in devices if (value := getattr(device, name)) is not None]
    return max(told) if told and not any(device.lost for device in devices) else None


def _sum(values: Sequence[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return sum(told) if told and len(told) == len(values) else None


def _joined(ranges: Sequence[Range | None]) -> Range | None:
    told = [found for found in ranges if found is not None]
    if not told or len(told) < len(ranges):
        return None
    return {
        "min": min(found["min"] for found in told),
        "mean": sum(found["mean"] for found in told) / len(told),
        "max": max(found["max"] for found in told),
    }


def _plain(value: GpuUsage | GpuTelemetry) -> dict[str, Any]:
    def with_text_keys(inner: Any) -> Any:
        if isinstance(inner, Mapping):
            return {str(key): with_text_keys(item) for key, item in inner.items()}
        return [with_text_keys(item) for item in inner] if isinstance(inner, (list, tuple)) else inner

    plain: dict[str, Any] = with_text_keys(dataclasses.asdict(value))
    return plain
