"""Writes the event log of a load in this process, on a thread of its own: no request waits for the disk."""

from __future__ import annotations

import threading
from types import TracebackType

import numpy as np

from tokenclock.event_log import PART_INTERVAL_S, EventLog
from tokenclock.throughput.load_columns import LoadColumns

__all__ = ["EventWriter"]


class EventWriter:
    """From entry to exit a part about every second, and the last one at the exit.

    A part costs the stamps that are new in it: each request under way is asked how many it has.
    """

    def __init__(self, log: EventLog, load: LoadColumns) -> None:
        self._log, self._load = log, load
        self._n_seen = 0
        self._taken: dict[int, int] = {}  # of requests that may still get events: how many are written
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="event log", daemon=True)

    def __enter__(self) -> EventWriter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._write()

    def _work(self) -> None:
        while not self._stop.wait(PART_INTERVAL_S) and not self._log.broken:
            self._write()

    def _write(self) -> None:
        load, n_sent = self._load, self._load.n_sent
        for row in range(self._n_seen, n_sent):
            self._taken[row] = 0
        self._n_seen = n_sent
        ended, rows = [], []
        stamps, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for row, taken in self._taken.items():
            is_over = load.outcomes[row] is not None  # looked at first: what is over gets no events afterwards
            token_row = load.token_rows[row]
            n_events = token_row.n_events
            if n_events > taken:
                stamps.append(token_row.t_token_ns[taken:n_events] - load.epoch_ns)
                counts.append(token_row.n_tokens[taken:n_events])
                rows.append(np.full(n_events - taken, row, np.int32))
                self._taken[row] = n_events
            if is_over:
                ended.append(row)
        load.settle(ended)
        for row in ended:
            del self._taken[row]
        instants = np.concatenate(stamps)
        final = {
            "rows": np.array(ended, np.int64),
            "event_row": np.concatenate([np.zeros(0, np.int32), *rows]),
            "t_token_ns": instants,
            "n_tokens": np.concatenate(counts),
            "t_read_ns": instants,
        }
        self._log.write(final, load.columns)
