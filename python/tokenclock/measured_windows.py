"""Ends a run by time: looks at each window when it is over, stops the client when three agree, and keeps those."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from tokenclock.metrics.windows import Window, are_stable, window_of
from tokenclock.plan_windows import KEPT_WINDOWS, MOST_WINDOWS, WindowPlan
from tokenclock.records import MISSING_NS, STATUS_NAMES, Records
from tokenclock.units import s_to_ns

__all__ = ["MeasuredWindows"]

_UNENDED = [STATUS_NAMES.index(name) for name in ("cancelled", "not_sent")]


class MeasuredWindows:
    """The windows of one run."""

    def __init__(self, plan: WindowPlan, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._plan, self._clock = plan, clock
        self._interval_ns = s_to_ns(plan.interval_s)
        self._epoch_ns: int | None = None
        self.windows: list[Window] = []
        self.stable = False

    @property
    def interval_s(self) -> float:
        """Length of a window, s."""
        return self._plan.interval_s

    def begin(self) -> None:
        """The load has begun: the first window starts now (asked often, counts once)."""
        if self._epoch_ns is None:
            self._epoch_ns = self._clock()

    def due(self) -> bool:
        """Whether a window is over that was not looked at yet."""
        if self._epoch_ns is None or self.ended:
            return False
        return self._clock() - self._epoch_ns >= (len(self.windows) + 1) * self._interval_ns

    def look(self, columns: Mapping[str, Any]) -> None:
        """Take the window that is over. `columns`: of all requests, instants relative to the start of the load."""
        start_ns = len(self.windows) * self._interval_ns
        self.windows.append(
            window_of(
                start_ns,
                start_ns + self._interval_ns,
                ok=np.asarray(columns["status"] == 0) & np.asarray(columns["t_last_token_ns"] != MISSING_NS),
                t_sent_ns=columns["t_sent_ns"],
                t_last_token_ns=columns["t_last_token_ns"],
            )
        )
        last = self.windows[-KEPT_WINDOWS:]
        self.stable = len(last) == KEPT_WINDOWS and are_stable(last, self._plan.stability_percent)

    @property
    def ended(self) -> bool:
        """Whether the run is to end: three windows agree, or there were ten."""
        return self.stable or len(self.windows) >= MOST_WINDOWS

    def trimmed(self, records: Records) -> Records:
        """The requests that ended, well or not, in the last three windows. What was under way at the end is cut off by
        the tool and no failure of the server; how much that was is among the counters."""
        if not self.windows:
            return records
        last = self.windows[-KEPT_WINDOWS:]
        columns = records.columns
        done_ns, status = columns["t_done_ns"], columns["status"]
        ended = ~np.isin(status, _UNENDED)
        inside = ended & (done_ns >= last[0].t_start_ns) & (done_ns < last[-1].t_end_ns)
        facts = {
            "windows": [asdict(window) for window in self.windows],
            "windows_stable": self.stable,
            "n_outside_windows": int((ended & ~inside).sum()),
            "n_cut_off": int((status == STATUS_NAMES.index("cancelled")).sum()),
            "interrupted": bool(records.client.get("interrupted")) and not self.ended,
        }
        return replace(records.take(np.flatnonzero(inside)), client={**records.client, **facts})
