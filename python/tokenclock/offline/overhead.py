"""What the loop itself costs: the same loop around a runtime that answers at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokenclock._core import now_ns
from tokenclock.iteration_records import TIMED
from tokenclock.offline.iterations import Iterations
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime.null import NullRuntime

__all__ = ["Overhead", "measure_overhead"]

_N = 400
_STEPS = 20


@dataclass(frozen=True)
class Overhead:
    """In ns.

    Args:
        per_iteration_ns: median latency reported for a call that returns at once: what every latency contains.
        between_ns: median of what the loop spends between two iterations: in no latency.
        per_step_ns: what each stamp of a step adds to a latency.
    """

    per_iteration_ns: float
    between_ns: float
    per_step_ns: float


def measure_overhead(n: int = _N) -> Overhead:
    """Time `n` empty iterations without steps, and `n` with 20; takes some 20 ms."""
    plain, between = _timed(n, stamps_steps=False)
    stepped, _ = _timed(n, stamps_steps=True)
    return Overhead(plain, between, max(0.0, stepped - plain) / _STEPS)


def _timed(n: int, *, stamps_steps: bool) -> tuple[float, float]:
    case = BenchmarkCase(0, "dec", 1, 1, _STEPS)
    runtime = NullRuntime("dec")
    runtime.prepare(case, 0)
    iterations = Iterations(case, 0, now_ns(), stamps_steps=stamps_steps)
    for _ in range(n):
        iterations.time(runtime, TIMED)
    rows = iterations.records()
    gaps = rows.columns["t_start_ns"][1:] - rows.columns["t_done_ns"][:-1]
    return float(np.median(rows.latency_ns)), float(np.median(gaps))
