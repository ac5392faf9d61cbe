"""Drives requests through a runtime in this process, so many at a time, and returns the Records a server's run has."""

from __future__ import annotations

import contextlib
import queue
import resource
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenclock._core import now_ns
from tokenclock.event_log import EventLog
from tokenclock.host_load import host_load
from tokenclock.records import Records
from tokenclock.runtime.in_flight import InFlight, InFlightRequest, OnEnd, OnTokens, Outcome
from tokenclock.throughput.event_writer import EventWriter
from tokenclock.throughput.load_columns import LoadColumns
from tokenclock.units import NS_PER_S

__all__ = ["run_in_flight"]

_POLL_S = 0.05  # how often progress and Ctrl-C get their turn

Progress = Callable[[Mapping[str, int]], None]
OpenLog = Callable[[Mapping[str, Any]], EventLog]


def run_in_flight(
    target: InFlight,
    requests: Sequence[InFlightRequest],
    *,
    concurrency: int | None,
    streaming: bool,
    stop_requested: Callable[[], bool] = lambda: False,
    on_progress: Progress | None = None,
    open_log: OpenLog | None = None,
) -> tuple[Records, list[Outcome | None]]:
    """Send the requests in their order; the next goes out when one has ended.

    The sending of a request is stamped just before it is handed over, its tokens on the runtime's own thread as they
    come, its end when the runtime says so; without `streaming` an answer has its end for its only token stamp.

    Args:
        target: loaded.
        requests: one per row.
        concurrency: requests under way at most; None: all are handed over at once.
        streaming: stamp single tokens.
        stop_requested: asked 20 times a second; once it says yes what is under way is cancelled, the rest never sent.
        on_progress: told the counters 20 times a second.
        open_log: makes the event log, given the lengths that were asked for; None: none is written.

    Returns:
        Records, one row per request, and how each ended; None for those never sent.
    """
    run = _Run(target, requests, streaming)
    asked = {name: run.load.columns[name] for name in ("isl_requested", "osl_requested")}
    log = None if open_log is None else open_log(asked)
    cpu_before_ns, host_before = _process_cpu_ns(), host_load()
    with contextlib.nullcontext() if log is None else EventWriter(log, run.load):
        interrupted = run.drive(concurrency or len(requests), stop_requested, on_progress)
        wall_ns = now_ns() - run.load.epoch_ns
    facts: dict[str, Any] = {
        "transport": "in process",
        "runtime": target.name,
        "stamp_source": "user",
        "stamp_clock": run.load.recorder.clock,
        "wall_ns": wall_ns,
        "process_cpu_ns": _process_cpu_ns() - cpu_before_ns,
        "host": host_before.until(host_load()),
        "interrupted": interrupted,
        "closed_loop": concurrency is not None,
        "max_in_flight": run.most,
        "n_events_lost": run.load.recorder.n_lost,
    }
    records = run.load.records(facts)
    if log is not None:
        log.finish(records, incomplete=interrupted)
    return records, run.load.outcomes


class _Run:
    def __init__(self, target: InFlight, requests: Sequence[InFlightRequest], streaming: bool) -> None:
        self._target, self._requests, self._streaming = target, requests, streaming
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.load = LoadColumns(requests, streaming=streaming)
        self.most = 0

    def drive(self, slots: int, stop_requested: Callable[[], bool], on_progress: Progress | None) -> bool:
        """To the end, or until it is to stop: then True."""
        n, n_sent, n_done, n_failed, stopped = len(self._requests), 0, 0, 0, stop_requested()
        while n_done < n_sent or (n_sent < n and not stopped):
            while n_sent < n and n_sent - n_done < slots and not stopped:
                self._send(n_sent)
                n_sent += 1
                self.most = max(self.most, n_sent - n_done)
            try:
                row = self._ended.get(timeout=_POLL_S)
                while True:  # a slot that is free is filled before anybody is told
                    n_done += 1
                    outcome = self.load.outcomes[row]
                    n_failed += outcome is not None and outcome.error is not None
                    row = self._ended.get_nowait()
            except queue.Empty:
                pass
            if not stopped and stop_requested():
                stopped = True
                self._target.cancel()
            if on_progress is not None:
                on_progress(
                    {
                        "n_requests": n,
                        "n_sent": n_sent,
                        "n_done": n_done,
                        "n_failed": n_failed,
                        "n_in_flight": n_sent - n_done,
                        "n_events": self.load.recorder.n_events,
                    }
                )
        return stopped and any(outcome is None or outcome.cancelled for outcome in self.load.outcomes)

    def _send(self, row: int) -> None:
        token_row = self.load.open_row()
        stamp, stamp_n = token_row.stamp, token_row.stamp_n

        def on_tokens(n: int) -> None:
            try:
                if n == 1:
                    stamp()
                else:
                    stamp_n(n)
            except OverflowError:  # more tokens than asked for and the spare room: the recorder counts them as lost
                pass

        listener: OnTokens | None = on_tokens if self._streaming else None
        on_end = self._end_of(row)
        self.load.sent()
        self._target.submit(self._requests[row], listener, on_end)

    def _end_of(self, row: int) -> OnEnd:
        def on_end(outcome: Outcome) -> None:
            self.load.ended(row, outcome)
            self._ended.put(row)

        return on_end


def _process_cpu_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * NS_PER_S)
