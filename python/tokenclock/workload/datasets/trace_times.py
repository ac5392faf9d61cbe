"""When the rows of a trace are due: its own absolute times, sliced and sped up, never summed from gaps."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan, TraceDataset
from tokenclock.units import NS_PER_MS
from tokenclock.workload.datasets.trace import Trace

__all__ = ["due_of_trace", "sliced"]

_LONGEST_NS = 1e18


def sliced(trace: Trace, dataset: TraceDataset, num_rows: int) -> Trace:
    """The rows of the plan's slice of time, `num_rows` at most. Raises UsageError where none is left.

    Rows of a session come with its first one, whose time decides.
    """
    rows = np.arange(len(trace))
    if dataset.start_s > 0 or dataset.end_s is not None:
        if not trace.has_times:
            raise UsageError(f"--trace-start and --trace-end need time stamps, and {trace.path} has none")
        t_ms = _times_of_sessions(trace)
        end_ms = math.inf if dataset.end_s is None else dataset.end_s * 1e3
        rows = np.flatnonzero((t_ms >= dataset.start_s * 1e3) & (t_ms < end_ms))
        if len(rows) == 0:
            first, last = np.nanmin(trace.t_ms) / 1e3, np.nanmax(trace.t_ms) / 1e3
            raise UsageError(
                f"--trace-start {dataset.start_s:g} and --trace-end {end_ms / 1e3:g} leave no row of {trace.path}, "
                f"whose time stamps go from {first:g} to {last:g} s"
            )
    return trace.take(rows[:num_rows])


def _times_of_sessions(trace: Trace) -> npt.NDArray[np.float64]:
    """Each row's time; a later turn has that of its session's first row."""
    if trace.session is None:
        return trace.t_ms
    t_ms: npt.NDArray[np.float64] = trace.t_ms.copy()
    first: dict[int, float] = {}
    for row in np.flatnonzero(trace.session >= 0).tolist():
        t_ms[row] = first.setdefault(int(trace.session[row]), float(t_ms[row]))
    return t_ms


def due_of_trace(
    plan: ServingPlan, dataset: TraceDataset, trace: Trace
) -> tuple[npt.NDArray[np.int64] | None, float | None]:
    """Due times in ns from the start of the slice, and their mean rate; None where the plan's rate draws them.

    The slice begins at --trace-start, else at the first row. Each time is (stamp - begin) / speed-up, so that no error
    adds up; a finite --request-rate chooses the speed-up that gives that mean rate.
    """
    if dataset.untimed or not trace.has_times:
        if dataset.speedup != 1.0:
            raise UsageError("--trace-speedup needs time stamps" + _why_none(dataset, trace))
        return None, None
    t_ms = trace.t_ms[~np.isnan(trace.t_ms)]
    begin_ms = dataset.start_s * 1e3 if dataset.start_s > 0 else float(t_ms[0])
    span_s = (float(t_ms[-1]) - float(t_ms[0])) / 1e3
    rate = (len(t_ms) - 1) / span_s if span_s > 0 else math.inf
    speedup = dataset.speedup
    if math.isfinite(plan.load.request_rate) and math.isfinite(rate):
        speedup = plan.load.request_rate / rate
    due_ns = (trace.t_ms - begin_ms) / speedup * NS_PER_MS
    latest = float(np.nanmax(due_ns))
    if latest >= _LONGEST_NS:
        raise UsageError(f"the trace would last {latest / 1e9:.3g} s; give --trace-speedup or --trace-end")
    due = np.where(np.isnan(due_ns), 0.0, due_ns)
    return np.rint(due).astype(np.int64), rate * speedup if math.isfinite(rate) else None


def _why_none(dataset: TraceDataset, trace: Trace) -> str:
    return ", which --trace-untimed leaves aside" if dataset.untimed else f", and {trace.path} has none"
