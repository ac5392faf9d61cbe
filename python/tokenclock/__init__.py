"""Measures how fast a large language model answers, and states its own error."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what the lazy names below are, for type checkers
    from tokenclock._core import TokenRecorder as TokenRecorder
    from tokenclock._core import TokenRow as TokenRow
    from tokenclock._core import now_ns as now_ns
    from tokenclock.device.cuda_timer import CudaEventTimer as CudaEventTimer
    from tokenclock.device.gpu_memory import GpuMemoryMonitor as GpuMemoryMonitor
    from tokenclock.hdr import HdrHistogram as HdrHistogram
    from tokenclock.hdr_log import HlogInterval as HlogInterval
    from tokenclock.hdr_log import HlogWriter as HlogWriter
    from tokenclock.hdr_log import read_hlog as read_hlog
    from tokenclock.result import Result as Result
    from tokenclock.run import run_serving as run_serving
    from tokenclock.serving.paced import PacedServer as PacedServer

# name -> module that defines it; loaded at first use so that `import tokenclock` stays instant
_PUBLIC: dict[str, str] = {
    "CudaEventTimer": "tokenclock.device.cuda_timer",
    "GpuMemoryMonitor": "tokenclock.device.gpu_memory",
    "HdrHistogram": "tokenclock.hdr",
    "HlogInterval": "tokenclock.hdr_log",
    "HlogWriter": "tokenclock.hdr_log",
    "PacedServer": "tokenclock.serving.paced",
    "Result": "tokenclock.result",
    "TokenRecorder": "tokenclock._core",
    "TokenRow": "tokenclock._core",
    "now_ns": "tokenclock._core",
    "read_hlog": "tokenclock.hdr_log",
    "run_serving": "tokenclock.run",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Load a public name at its first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tokenclock' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
