"""Drives requests through a runtime in this process, so many at a time, and returns the Records a server's run has."""

from __future__ import annotations

import queue
import resource
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tokenclock._core import TokenRecorder, now_ns
from tokenclock.host_load import host_load
from tokenclock.records import MISSING_NS, OSL_SOURCE_NAMES, STATUS_NAMES, Records, empty_columns
from tokenclock.runtime.in_flight import InFlight, InFlightRequest, OnEnd, OnTokens, Outcome
from tokenclock.units import NS_PER_S

__all__ = ["run_in_flight"]

_POLL_S = 0.05  # how often progress and Ctrl-C get their turn
_SPARE_EVENTS = 8  # of a runtime that makes more tokens than it was asked for; what is beyond is counted as lost
_OK, _CANCELLED, _FAILED = (STATUS_NAMES.index(name) for name in ("ok", "cancelled", "stream_error"))
_STOP, _LENGTH = 1, 2  # finish reasons

Progress = Callable[[Mapping[str, int]], None]


def run_in_flight(
    target: InFlight,
    requests: Sequence[InFlightRequest],
    *,
    concurrency: int | None,
    streaming: bool,
    stop_requested: Callable[[], bool] = lambda: False,
    on_progress: Progress | None = None,
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

    Returns:
        Records, one row per request, and how each ended; None for those never sent.
    """
    run = _Run(target, requests, streaming)
    cpu_before_ns, host_before = _process_cpu_ns(), host_load()
    interrupted = run.drive(concurrency or len(requests), stop_requested, on_progress)
    facts: dict[str, Any] = {
        "transport": "in process",
        "runtime": target.name,
        "stamp_source": "user",
        "stamp_clock": run.recorder.clock,
        "wall_ns": now_ns() - run.epoch_ns,
        "process_cpu_ns": _process_cpu_ns() - cpu_before_ns,
        "host": host_before.until(host_load()),
        "interrupted": interrupted,
        "closed_loop": concurrency is not None,
        "max_in_flight": run.most,
        "n_events_lost": run.recorder.n_lost,
    }
    return run.records(facts), run.outcomes


class _Run:
    def __init__(self, target: InFlight, requests: Sequence[InFlightRequest], streaming: bool) -> None:
        n = len(requests)
        self._target, self._requests, self._streaming = target, requests, streaming
        longest = max(request.osl for request in requests) + _SPARE_EVENTS if streaming else 1
        self.recorder = TokenRecorder(n, longest)
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.outcomes: list[Outcome | None] = [None] * n
        self._t_sent_ns = np.full(n, MISSING_NS, np.int64)
        self._t_done_ns = np.full(n, MISSING_NS, np.int64)
        self.epoch_ns = now_ns()
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
                    outcome = self.outcomes[row]
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
                        "n_events": self.recorder.n_events,
                    }
                )
        return stopped and any(outcome is None or outcome.cancelled for outcome in self.outcomes)

    def _send(self, row: int) -> None:
        token_row = self.recorder.row(row)
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
        self._t_sent_ns[row] = now_ns()
        self._target.submit(self._requests[row], listener, on_end)

    def _end_of(self, row: int) -> OnEnd:
        def on_end(outcome: Outcome) -> None:
            self._t_done_ns[row] = now_ns()
            self.outcomes[row] = outcome
            self._ended.put(row)

        return on_end

    def records(self, facts: dict[str, Any]) -> Records:
        """What was stamped, relative to the epoch."""
        columns = empty_columns(len(self._requests))
        columns["isl_requested"][:] = [len(request.ids) for request in self._requests]
        columns["osl_requested"][:] = [request.osl for request in self._requests]
        offsets, t_token_ns = self.recorder.token_offsets.copy(), self.recorder.t_token_ns - self.epoch_ns
        sent = self._t_sent_ns != MISSING_NS
        columns["t_scheduled_ns"][sent] = 0
        columns["t_sent_ns"][sent] = self._t_sent_ns[sent] - self.epoch_ns
        ended = self._t_done_ns != MISSING_NS
        columns["t_done_ns"][ended] = self._t_done_ns[ended] - self.epoch_ns
        columns["worker"][sent] = 0
        errors: dict[int, str] = {}
        for row, outcome in enumerate(self.outcomes):
            if outcome is not None:
                self._settle(row, outcome, columns, errors)
        has_events = np.diff(offsets) > 0
        columns["t_first_token_ns"][has_events] = t_token_ns[offsets[:-1][has_events]]
        columns["t_last_token_ns"][has_events] = t_token_ns[offsets[1:][has_events] - 1]
        whole = ~has_events & (columns["status"] == _OK) & (columns["osl"] > 0)
        columns["t_last_token_ns"][whole] = columns["t_done_ns"][whole]
        return Records(
            epoch_ns=self.epoch_ns,
            columns=columns,
            token_offsets=offsets,
            t_token_ns=np.asarray(t_token_ns, np.int64),
            n_tokens=self.recorder.n_tokens.copy(),
            t_read_ns=np.asarray(t_token_ns, np.int64).copy(),
            errors=errors,
            client={**facts, "n_events": int(offsets[-1]), "n_events_kernel": 0},
        )

    def _settle(self, row: int, outcome: Outcome, columns: dict[str, Any], errors: dict[int, str]) -> None:
        failed = outcome.error is not None or (outcome.output_ids is None and not outcome.cancelled)
        columns["status"][row] = _FAILED if failed else _CANCELLED if outcome.cancelled else _OK
        if failed:
            errors[row] = outcome.error or "the runtime gave no answer and no reason"
        if outcome.output_ids is not None:
            columns["osl"][row] = len(outcome.output_ids)
            columns["osl_source"][row] = OSL_SOURCE_NAMES.index("runtime")
            columns["finish_reason"][row] = _STOP if outcome.stopped else _LENGTH
            if outcome.decode_iteration is not None:
                iterations = outcome.decode_iteration + 1
                columns["tokens_per_iteration"][row] = len(outcome.output_ids) / iterations


def _process_cpu_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * NS_PER_S)
