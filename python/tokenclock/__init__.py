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
    from tokenclock.offline.run import run_benchmark as run_benchmark
    from tokenclock.plan_benchmark import BenchmarkPlan as BenchmarkPlan
    from tokenclock.plan_benchmark import LoopPlan as LoopPlan
    from tokenclock.result import Result as Result
    from tokenclock.run import run_serving as run_serving
    from tokenclock.runtime.protocol import IterationOutcome as IterationOutcome
    from tokenclock.runtime.protocol import Runtime as Runtime
    from tokenclock.runtime.user import UserRuntime as UserRuntime
    from tokenclock.serving.paced import PacedServer as PacedServer

# name -> module that defines it; loaded at first use so that `import tokenclock` stays instant
_PUBLIC: dict[str, str] = {
    "BenchmarkPlan": "tokenclock.plan_benchmark",
    "CudaEventTimer": "tokenclock.device.cuda_timer",
    "GpuMemoryMonitor": "tokenclock.device.gpu_memory",
    "HdrHistogram": "tokenclock.hdr",
    "HlogInterval": "tokenclock.hdr_log",
    "HlogWriter": "tokenclock.hdr_log",
    "IterationOutcome": "tokenclock.runtime.protocol",
    "LoopPlan": "tokenclock.plan_benchmark",
    "PacedServer": "tokenclock.serving.paced",
    "Result": "tokenclock.result",
    "Runtime": "tokenclock.runtime.protocol",
    "TokenRecorder": "tokenclock._core",
    "TokenRow": "tokenclock._core",
    "UserRuntime": "tokenclock.runtime.user",
    "now_ns": "tokenclock._core",
    "read_hlog": "tokenclock.hdr_log",
    "run_benchmark": "tokenclock.offline.run",
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
