"""The GPUs that a runtime in this process works on: memory, power and clocks over the load."""

from __future__ import annotations

import dataclasses
import platform
from types import TracebackType
from typing import Any

from tokenclock.device.gpu_memory import GpuMemoryMonitor
from tokenclock.device.usage import GpuUsage

__all__ = ["GpuWatch"]


class GpuWatch:
    """Samples every GPU that this process sees, from entry to exit, with the memory of this process and its children.

    Args:
        interval_ms: between two samples; 0: none are taken.
    """

    def __init__(self, interval_ms: float) -> None:
        self._monitor = GpuMemoryMonitor(interval_ms) if interval_ms else None
        self._load: GpuUsage | None = None
        #: why there are no figures; None where there are
        self.unavailable: str | None = "not sampled"

    def __enter__(self) -> GpuWatch:
        if self._monitor is not None:
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

    def begin(self) -> None:
        """The measured load begins."""
        if self._monitor is not None:
            self._monitor.begin("load")

    def end(self) -> None:
        """The measured load has ended."""
        if self._monitor is not None:
            self._load = self._monitor.end()

    def stop(self) -> dict[str, Any] | None:
        """End the sampler: what `Result.gpu` holds; None where none was asked for. The same when called again."""
        if self._monitor is None:
            return None
        whole = self._monitor.stop()
        self.unavailable = whole.unavailable
        usage = dataclasses.replace(self._load or GpuUsage(label="load"), warnings=whole.usage.warnings)
        return {
            "host": platform.node(),
            "server_is_on_this_host": True,
            **dataclasses.replace(whole, usage=usage).to_dict(),
        }
