"""Says that a server has gone silent while requests wait for it, and ends the load when it stays so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.plan import LoadPlan
from tokenclock.records import STATUS_NAMES, Records
from tokenclock.serving.client import Observer

__all__ = ["SilenceWatch"]

PATIENCE_S = 60.0
"""How long nothing may come from the server before it is said."""

_CANCELLED, _STALLED = (STATUS_NAMES.index(name) for name in ("cancelled", "stalled"))


class SilenceWatch(Observer):
    """Looks at the counters of a load; one line for each silence, none while anything comes or nothing is awaited.

    Silence is of the whole server: a request that waits in its queue while others are answered is no part of it.
    """

    def __init__(
        self, load: LoadPlan, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """clock: seconds, for tests."""
        self._load, self._say, self._clock = load, say, clock
        self._seen, self._since_s, self._said = -1, clock(), False
        self.ended = False
        """Whether the silence lasted so long that the load is to end: `--silence-timeout`."""

    def stop_requested(self) -> bool:
        return self.ended

    def on_progress(self, progress: Mapping[str, int]) -> None:
        seen, now_s = progress["bytes_received"] + progress["n_done"], self._clock()
        if self.ended:
            return
        if seen != self._seen or not progress["n_in_flight"]:
            self._seen, self._since_s, self._said = seen, now_s, False
            return
        silent_s, limit_s, waiting = now_s - self._since_s, self._load.silence_timeout_s, progress["n_in_flight"]
        if 0 < limit_s <= silent_s:
            self.ended = True
            self._say(
                f"tokenclock serving: nothing came from the server for {limit_s:g} s: the run ends here, and its "
                f"{waiting} requests under way count as stalled; look at the server's log, or raise --silence-timeout"
            )
        elif not self._said and silent_s >= PATIENCE_S:
            self._said = True
            self._say(
                f"tokenclock serving: nothing came from the server for {PATIENCE_S:g} s, {waiting} requests wait: "
                f"{self._what_ends_them()}, Ctrl-C keeps what was measured"
            )

    def _what_ends_them(self) -> str:
        limits = {
            "--no-progress-timeout": self._load.no_progress_timeout_s,
            "--silence-timeout": self._load.silence_timeout_s,
            "--request-timeout": self._load.request_timeout_s,
        }
        given = {flag: limit_s for flag, limit_s in limits.items() if limit_s > 0}
        if not given:
            return "nothing ends them; --silence-timeout S would"
        flag = min(given, key=lambda one: given[one])
        return f"they end after {given[flag]:g} s by {flag}"

    def settled(self, columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Columns of requests in which those that the silence ended are `stalled`, not cancelled by anybody."""
        if not self.ended:
            return dict(columns)
        status = columns["status"]
        return {**columns, "status": np.where(status == _CANCELLED, _STALLED, status).astype(status.dtype)}

    def settled_records(self, records: Records) -> Records:
        """The records likewise, with the reason among their errors; nobody has interrupted them."""
        if not self.ended:
            return records
        reason = f"nothing came from the server for {self._load.silence_timeout_s:g} s, the --silence-timeout"
        rows = np.flatnonzero(records.columns["status"] == _CANCELLED).tolist()
        return replace(
            records,
            columns=self.settled(records.columns),
            errors={**records.errors, **dict.fromkeys(rows, reason)},
            client={**records.client, "interrupted": False},
        )
