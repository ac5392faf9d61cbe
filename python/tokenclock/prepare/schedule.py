"""When rows are due, and which rows follow each other in one session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenclock.prepare.plan import PreparePlan
from tokenclock.workload.arrivals import due_times_ns
from tokenclock.workload.streams import stream

__all__ = ["RowTimes", "draw_times"]


@dataclass(frozen=True)
class RowTimes:
    """Times of every row; the rows of a session lie one behind the other."""

    count: int  # rows
    session: npt.NDArray[np.int64] | None  # number of each row's session; None without sessions
    due_ns: npt.NDArray[np.int64] | None  # of each row's session or, without sessions, of the row; None: no times
    delay_ms: npt.NDArray[np.float64] | None  # from the answer before; 0 for a first turn; None without sessions

    def starts(self, row: int) -> bool:
        """Whether the row is the first of its session, or stands alone."""
        return self.session is None or row == 0 or bool(self.session[row - 1] != self.session[row])

    def first_turns(self) -> npt.NDArray[np.bool_]:
        """`starts` of every row, bool[count]."""
        first = np.ones(self.count, dtype=np.bool_)
        if self.session is not None:
            first[1:] = np.diff(self.session) != 0
        return first

    def json(self, row: int) -> str:
        """The members that a row gets for it, each with a comma before; empty without."""
        members = ""
        if self.session is not None:
            members += f',"session_id":"s{self.session[row]}"'
        if self.due_ns is not None and self.starts(row):
            members += f',"timestamp":{self.due_ns[row] / 1e6:.3f}'
        if self.delay_ms is not None and not self.starts(row):
            members += f',"delay":{self.delay_ms[row]:.3f}'
        return members


def draw_times(plan: PreparePlan, count: int) -> RowTimes:
    """Sessions by their normal number of turns (rounded, 1 at least), the last one cut where rows end; gamma gaps."""
    session, delay_ms = None, None
    n_arrivals = count
    if plan.sessions.asked:
        session = _sessions(plan, count)
        n_arrivals = int(session[-1]) + 1
        drawn = stream("session_delays", plan.seed).normal(
            plan.sessions.delay_mean_ms, plan.sessions.delay_stdev_ms, size=count
        )
        delay_ms = np.maximum(drawn, 0.0)
    due_ns = None
    if np.isfinite(plan.request_rate):
        due_ns = due_times_ns(stream("arrivals", plan.seed), n_arrivals, float(plan.request_rate), plan.burstiness)
        due_ns = due_ns if session is None else due_ns[session]
    return RowTimes(count, session, due_ns, delay_ms)


def _sessions(plan: PreparePlan, count: int) -> npt.NDArray[np.int64]:
    asked, generator = plan.sessions, stream("session_turns", plan.seed)
    turns = np.clip(np.rint(generator.normal(asked.turns_mean, asked.turns_stdev, size=count)), 1, None)
    ends = np.cumsum(turns.astype(np.int64))
    return np.searchsorted(ends, np.arange(count), side="right").astype(np.int64)
