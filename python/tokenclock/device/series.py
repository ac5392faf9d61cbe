"""What one GPU told over time, thinned so that a run of any length stays small."""

from __future__ import annotations

from typing import Any

from tokenclock.device.window import DeviceSample

__all__ = ["MAX_POINTS", "QUANTITIES", "DeviceSeries"]

MAX_POINTS = 1000
"""Of one GPU; when there are more, neighbours are put together by their means."""

QUANTITIES = ("utilization_percent", "power_w", "sm_mhz", "memory_mhz", "temperature_c", "used_bytes")
"""Kept of each look; share of the time in which a kernel ran (0 to 100), W, MHz, MHz, degrees Celsius, bytes."""


class DeviceSeries:
    """Takes samples in the order of time; those without power, clocks and temperature are passed over."""

    def __init__(self) -> None:
        self._t_ns: list[int] = []
        self._values: dict[str, list[float | None]] = {name: [] for name in QUANTITIES}
        self._together = 1  # samples that one point is the mean of
        self._waiting: list[DeviceSample] = []

    def add(self, sample: DeviceSample) -> None:
        """Count one sample."""
        slow = (sample.utilization_percent, sample.power_w, sample.sm_mhz, sample.memory_mhz, sample.temperature_c)
        if all(value is None for value in slow):
            return
        self._waiting.append(sample)
        if len(self._waiting) < self._together:
            return
        self._t_ns.append(sum(one.t_ns for one in self._waiting) // len(self._waiting))
        for name, values in self._values.items():
            values.append(_mean([getattr(one, name) for one in self._waiting]))
        self._waiting = []
        if len(self._t_ns) > MAX_POINTS:
            self._halve()

    def _halve(self) -> None:
        n = len(self._t_ns) - len(self._t_ns) % 2
        self._t_ns = [sum(self._t_ns[i : i + 2]) // 2 for i in range(0, n, 2)]
        for name, values in self._values.items():
            self._values[name] = [_mean(values[i : i + 2]) for i in range(0, n, 2)]
        self._together *= 2

    def figures(self) -> dict[str, Any] | None:
        """``t_monotonic_ns`` and each quantity that was told, arrays of one length; None without a point."""
        if not self._t_ns:
            return None
        told = {name: values for name, values in self._values.items() if any(value is not None for value in values)}
        return {"t_monotonic_ns": self._t_ns, **told}


def _mean(values: list[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return sum(told) / len(told) if told else None
