"""Windows of a run that is ended by time: what ended in each, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Window", "are_stable", "window_of"]


@dataclass(frozen=True)
class Window:
    """Requests that ended well in `[t_start_ns, t_end_ns)`.

    Args:
        n: how many.
        throughput: of them per second.
        latency_ns: their mean time from send to last token event; None without any.
    """

    t_start_ns: int
    t_end_ns: int
    n: int
    throughput: float
    latency_ns: float | None


def window_of(
    t_start_ns: int,
    t_end_ns: int,
    *,
    ok: npt.NDArray[np.bool_],
    t_sent_ns: npt.NDArray[np.int64],
    t_last_token_ns: npt.NDArray[np.int64],
) -> Window:
    """The window of these instants; the columns are those of Records, one row a request."""
    inside = ok & (t_last_token_ns >= t_start_ns) & (t_last_token_ns < t_end_ns)
    n = int(inside.sum())
    latency_ns = float((t_last_token_ns[inside] - t_sent_ns[inside]).mean()) if n else None
    return Window(t_start_ns, t_end_ns, n, n / (t_end_ns - t_start_ns) * 1e9, latency_ns)


def are_stable(windows: Sequence[Window], percent: float) -> bool:
    """perf_analyzer's rule: of throughput and of mean latency the largest is at most (1 + percent/100) times the
    smallest. A window in which nothing ended is never stable."""
    latencies = [window.latency_ns for window in windows if window.latency_ns is not None]
    if not windows or len(latencies) < len(windows):
        return False
    rates = [window.throughput for window in windows]
    most = 1 + percent / 100
    return max(rates) <= most * min(rates) and max(latencies) <= most * min(latencies)
