"""GPU memory and power over a run and its cases, where the sampler can be had; else the reason why not."""

from __future__ import annotations

import dataclasses
from types import TracebackType
from typing import Any

__all__ = ["MemoryWatch"]


class MemoryWatch:
    """The sampler of one rank; every figure is None where there is none."""

    def __init__(self, interval_ms: float) -> None:
        self._interval_ms = interval_ms
        self._monitor: Any = None
        self.unavailable: str | None = "GPU memory is not sampled in this version"

    def __enter__(self) -> MemoryWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def mark_loaded(self) -> None:
        """The weights are loaded: the level of now is theirs."""
        if self._monitor is not None:
            self._monitor.mark_loaded()

    def begin(self, label: str) -> None:
        """A case begins."""
        if self._monitor is not None:
            self._monitor.begin(label)

    def end(self) -> dict[str, Any] | None:
        """The case is over: its figures, JSON-ready."""
        return None if self._monitor is None else dataclasses.asdict(self._monitor.end())

    def stop(self) -> dict[str, Any] | None:
        """The run is over: its figures, JSON-ready."""
        monitor, self._monitor = self._monitor, None
        return None if monitor is None else dataclasses.asdict(monitor.stop())
