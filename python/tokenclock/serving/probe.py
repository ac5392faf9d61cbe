"""Probes: one-token requests at a low rate beside the load, by a client and connections of their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock._core import LoadClient
from tokenclock.plan import ServingPlan
from tokenclock.records import MISSING_NS
from tokenclock.serving.client import client_settings
from tokenclock.serving.endpoint import request_body
from tokenclock.units import NS_PER_S
from tokenclock.workload.streams import stream

__all__ = ["Probes"]

Array = npt.NDArray[Any]

MOST = 100_000  # probes of one run; the table is made beforehand
_PROMPT = "hi"
_AHEAD_NS = 2 * NS_PER_S  # how far ahead due times are handed over
_GRACE_S = 10.0  # how long an answer is waited for after the load has ended
_POLL_S = 0.01


class Probes:
    """Sends probes from `start` to `stop`; `feed` wants a turn every second or so.

    Gaps are exponential, drawn from the plan's seed. The answer's length is one token, whatever the load's is.
    """

    def __init__(self, plan: ServingPlan, addresses: Sequence[tuple[str, int]], most: int = MOST) -> None:
        rate = plan.load.probe_request_rate
        gaps_s = stream("probes", plan.load.seed).exponential(1 / rate, size=most)
        self._due_ns = np.rint(np.cumsum(gaps_s) * NS_PER_S).astype(np.int64)
        self._body = request_body(plan, _PROMPT, 1)
        self._fed = 0
        self._epoch_ns = 0
        self._client = LoadClient(
            addresses=list(addresses),
            n_rows=most,
            event_capacity=4 * most,
            **client_settings(plan),
        )

    @property
    def exhausted(self) -> bool:
        """Whether there were no probes left before the end."""
        return self._fed == len(self._due_ns)

    def start(self) -> None:
        """Begin; the first probe is due one gap from now."""
        self._hand_over(_AHEAD_NS)
        self._epoch_ns = self._client.start()

    def feed(self) -> None:
        """Hand over what is due in the next seconds."""
        self._hand_over(time.perf_counter_ns() - self._epoch_ns + _AHEAD_NS)

    def _hand_over(self, until_ns: int) -> None:
        end = int(np.searchsorted(self._due_ns, until_ns))
        if end > self._fed:
            rows = np.arange(self._fed, end, dtype=np.int32)
            offsets = np.arange(len(rows) + 1, dtype=np.int64) * len(self._body)
            self._client.submit(self._body * len(rows), offsets, self._due_ns[rows], rows)
            self._fed = end

    def stop(self, *, interrupted: bool = False, grace_s: float = _GRACE_S) -> dict[str, Array]:
        """End the probing; returns the columns of the probes that were due until now.

        Their answers are waited for, `grace_s` at most: the slow ones are what probes are for. Not when `interrupted`.
        """
        t_end_ns = time.perf_counter_ns() - self._epoch_ns
        n = min(int(np.searchsorted(self._due_ns, t_end_ns)), self._fed)
        columns = self._client.columns()
        deadline_s = time.monotonic() + (0.0 if interrupted else grace_s)
        while bool((columns["t_done_ns"][:n] == MISSING_NS).any()) and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        self._client.stop()
        return {name: columns[name][:n].copy() for name in ("status", "t_sent_ns", "t_last_token_ns")}

    def abandon(self) -> None:
        """End at once, for the ways out of a run that never reach `stop`."""
        self._client.stop()
