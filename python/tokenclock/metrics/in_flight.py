"""Requests under way over time, and how well a closed loop kept the number that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.records import Records

__all__ = ["ConcurrencyKept", "InFlight", "concurrency_kept", "in_flight"]

Array = npt.NDArray[Any]

_SHORTEST_NS = 1_000_000  # over less than that a mean says nothing


@dataclass(frozen=True)
class InFlight:
    """A staircase: from ``t_ns[i]`` on, ``n[i]`` requests are under way.

    Args:
        t_ns: int64 (k,), rising.
        n: int64 (k,); the last is 0 when every request ended.
    """

    t_ns: Array
    n: Array

    def mean(self, t_start_ns: int, t_end_ns: int) -> float | None:
        """Time-weighted mean between two instants; None for an empty span."""
        weights, values = self._within(t_start_ns, t_end_ns)
        return float(np.dot(weights, values) / weights.sum()) if weights.sum() > 0 else None

    def median(self, t_start_ns: int, t_end_ns: int) -> int | None:
        """Time-weighted median between two instants."""
        weights, values = self._within(t_start_ns, t_end_ns)
        if weights.sum() <= 0:
            return None
        order = np.argsort(values, kind="stable")
        running = np.cumsum(weights[order])
        return int(values[order][np.searchsorted(running, running[-1] / 2)])

    def first_at(self, n: int) -> int | None:
        """The first instant at which n requests were under way; None when there never were."""
        reached = np.flatnonzero(self.n >= n)
        return int(self.t_ns[reached[0]]) if len(reached) else None

    def _within(self, t_start_ns: int, t_end_ns: int) -> tuple[Array, Array]:
        """Length in ns and height of each step between two instants."""
        edges = np.clip(np.append(self.t_ns, max(t_end_ns, t_start_ns)), t_start_ns, max(t_end_ns, t_start_ns))
        return np.diff(edges).astype(np.float64), self.n.astype(np.float64)


def in_flight(records: Records) -> InFlight:
    """From the sending of each request to its end, failures included; one never ended counts to the last instant."""
    sent = records.columns["t_sent_ns"][records.present("t_sent_ns")]
    done = records.columns["t_done_ns"][records.present("t_sent_ns") & records.present("t_done_ns")]
    instants = np.concatenate([done, sent])  # at one instant the slot is freed first
    steps = np.concatenate([np.full(len(done), -1), np.ones(len(sent), np.int64)])
    order = np.argsort(instants, kind="stable")
    return InFlight(instants[order], np.cumsum(steps[order]))


@dataclass(frozen=True)
class ConcurrencyKept:
    """Slots asked for, most ever filled, and the mean while there were requests left to fill them with."""

    asked: int
    reached: int
    mean: float | None

    @property
    def shortfall(self) -> float | None:
        """Share of the slots that stood empty: of the mean, else of the most ever filled; None when nothing ran."""
        if self.reached == 0:
            return None
        return max(0.0, 1.0 - (self.reached if self.mean is None else self.mean) / self.asked)


def concurrency_kept(records: Records, asked: int) -> ConcurrencyKept:
    """The mean is taken from the first instant at which all slots were filled (else the first sending) to the last one.

    Args:
        records: of a closed loop.
        asked: its slots.
    """
    found = in_flight(records)
    sent = records.columns["t_sent_ns"][records.present("t_sent_ns")]
    if not len(sent):
        return ConcurrencyKept(asked, 0, None)
    full = found.first_at(asked)
    start, end = int(sent.min()) if full is None else full, int(sent.max())
    mean = found.mean(start, end) if end - start >= _SHORTEST_NS else None
    return ConcurrencyKept(asked, int(found.n.max()), mean)
