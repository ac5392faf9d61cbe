"""Says that a server has gone silent while requests wait for it, long before a time-out of hours would end them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tokenclock.plan import LoadPlan
from tokenclock.serving.client import Observer

__all__ = ["SilenceWatch"]

PATIENCE_S = 60.0
"""How long nothing may come from the server before it is said."""


class SilenceWatch(Observer):
    """Looks at the counters of a load; one line for each silence, none while anything comes or nothing is awaited."""

    def __init__(
        self, load: LoadPlan, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """clock: seconds, for tests."""
        self._load, self._say, self._clock = load, say, clock
        self._seen, self._since_s, self._said = -1, clock(), False

    def on_progress(self, progress: Mapping[str, int]) -> None:
        seen, now_s = progress["bytes_received"] + progress["n_done"], self._clock()
        if seen != self._seen or not progress["n_in_flight"]:
            self._seen, self._since_s, self._said = seen, now_s, False
        elif not self._said and now_s - self._since_s >= PATIENCE_S:
            self._said = True
            limits = (self._load.no_progress_timeout_s, self._load.request_timeout_s)
            limit_s = min((limit for limit in limits if limit > 0), default=0.0)
            ends = f"they end after {limit_s:g} s" if limit_s else "nothing ends them"
            self._say(
                f"tokenclock serving: nothing came from the server for {PATIENCE_S:g} s, {progress['n_in_flight']} "
                f"requests wait: {ends}; --no-progress-timeout S ends silent ones sooner, Ctrl-C keeps what was "
                "measured"
            )
