"""The GPU of a rank: what it is, and its memory and power over a run and its cases; None where there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from tokenclock.device.cuda import device_facts, visible_index
from tokenclock.device.gpu_memory import GpuMemoryMonitor
from tokenclock.runtime.protocol import Runtime

__all__ = ["GpuWatch", "gpu_of", "peak_bytes"]


def gpu_of(runtime: Runtime, local_rank: int) -> dict[str, Any] | None:
    """Name, compute capability (``sm90``), driver ... of the GPU that a rank's runtime works on, JSON-ready.

    None where the runtime works on a CPU: it says so in ``model.details["device"]``, or names no CUDA stream.
    """
    device = str(runtime.model.details.get("device") or ("cpu" if runtime.cuda_stream is None else "cuda"))
    if device.startswith("cpu"):
        return None
    index = visible_index(local_rank)
    facts = None if index is None else device_facts(index)
    return None if facts is None else dataclasses.asdict(facts)


def peak_bytes(ranks: Sequence[Mapping[str, Any]]) -> int | None:
    """The most that any rank's GPU held over a case; None where no rank knows."""
    known = [figures["peak_device_bytes"] for figures in ranks if figures.get("peak_device_bytes") is not None]
    return max(known, default=None)


class GpuWatch:
    """The sampler of one rank, from entry to exit; every figure is None where it cannot be had.

    Args:
        interval_ms: between two samples.
        local_rank: place on this host, for the one GPU that the rank uses; None: every GPU that this process sees.

    Attributes:
        unavailable: why there are no figures; None where there are.
    """

    def __init__(self, interval_ms: float, local_rank: int | None = None) -> None:
        self._interval_ms, self._local_rank = interval_ms, local_rank
        self._monitor: GpuMemoryMonitor | None = None
        self.unavailable: str | None = "not sampled"

    def __enter__(self) -> GpuWatch:
        if self._interval_ms == 0:
            self.unavailable = "switched off"
            return self
        index = None if self._local_rank is None else visible_index(self._local_rank)
        self._monitor = GpuMemoryMonitor(self._interval_ms, devices=None if index is None else [index])
        self._monitor.start()
        self.unavailable = self._monitor.unavailable
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def mark_loaded(self) -> None:
        """The model is loaded: the level of now is that of its weights."""
        if self._monitor is not None:
            self._monitor.mark_loaded()

    def begin(self, label: str) -> None:
        """A case begins."""
        if self._monitor is not None:
            self._monitor.begin(label)

    def end(self) -> dict[str, Any] | None:
        """The case is over: its figures, JSON-ready."""
        return None if self._monitor is None else self._monitor.end().to_dict()

    def stop(self) -> dict[str, Any] | None:
        """The run is over: its figures, JSON-ready. Afterwards there are none."""
        monitor, self._monitor = self._monitor, None
        return None if monitor is None else monitor.stop().to_dict()
