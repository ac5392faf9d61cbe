"""What a load in this process stamps, as the columns of Records: filled row by row as requests end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tokenclock._core import TokenRecorder, TokenRow, now_ns
from tokenclock.records import MISSING_NS, OSL_SOURCE_NAMES, STATUS_NAMES, Records, empty_columns
from tokenclock.runtime.in_flight import InFlightRequest, Outcome

__all__ = ["LoadColumns"]

_SPARE_EVENTS = 8  # of a runtime that makes more tokens than it was asked for; what is beyond is counted as lost
_OK, _CANCELLED, _FAILED = (STATUS_NAMES.index(name) for name in ("ok", "cancelled", "stream_error"))
_RUNTIME = OSL_SOURCE_NAMES.index("runtime")
_STOP, _LENGTH = 1, 2  # finish reasons


class LoadColumns:
    """Filled from several threads: `sent` by the one that sends, stamps and `ended` by the runtime's, `settle` by one.

    Attributes:
        epoch_ns: instant that all columns count from.
        recorder: the token stamps.
        outcomes: how each request ended; None: not yet.
        n_sent: requests handed over, in the order of their rows.
        columns: of the rows that were settled.
        token_rows: of the requests handed over.
    """

    def __init__(self, requests: Sequence[InFlightRequest], *, streaming: bool) -> None:
        n = len(requests)
        longest = max(request.osl for request in requests) + _SPARE_EVENTS if streaming else 1
        self.recorder = TokenRecorder(n, longest)
        self.outcomes: list[Outcome | None] = [None] * n
        self.n_sent = 0
        self.columns = empty_columns(n)
        self.columns["isl_requested"][:] = [len(request.ids) for request in requests]
        self.columns["osl_requested"][:] = [request.osl for request in requests]
        self.token_rows: list[TokenRow] = []
        self._t_sent_ns = np.full(n, MISSING_NS, np.int64)
        self._t_done_ns = np.full(n, MISSING_NS, np.int64)
        self._errors: dict[int, str] = {}
        self._settled = np.zeros(n, bool)
        self.epoch_ns = now_ns()

    def open_row(self) -> TokenRow:
        """Where the next request's tokens are stamped; `sent` comes next."""
        row = self.recorder.row(self.n_sent)
        self.token_rows.append(row)
        return row

    def sent(self) -> None:
        """The next request is handed over now."""
        self._t_sent_ns[self.n_sent] = now_ns()
        self.n_sent += 1

    def ended(self, row: int, outcome: Outcome) -> None:
        """A request has ended, now."""
        self._t_done_ns[row] = now_ns()
        self.outcomes[row] = outcome

    def settle(self, rows: Iterable[int]) -> None:
        """Fill the columns of requests that have ended."""
        for row in rows:
            outcome = self.outcomes[row]
            if outcome is not None and not self._settled[row]:
                self._settle(row, outcome)

    def records(self, facts: dict[str, Any]) -> Records:
        """Everything, once the load has ended; `facts` is of the client."""
        self.settle(range(self.n_sent))
        offsets, t_token_ns = self.recorder.token_offsets.copy(), self.recorder.t_token_ns - self.epoch_ns
        return Records(
            epoch_ns=self.epoch_ns,
            columns=self.columns,
            token_offsets=offsets,
            t_token_ns=np.asarray(t_token_ns, np.int64),
            n_tokens=self.recorder.n_tokens.copy(),
            t_read_ns=np.asarray(t_token_ns, np.int64).copy(),
            errors=dict(self._errors),
            client={**facts, "n_events": int(offsets[-1]), "n_events_kernel": 0},
        )

    def _settle(self, row: int, outcome: Outcome) -> None:
        columns, t_token_ns = self.columns, self.token_rows[row].t_token_ns
        self._settled[row] = True
        columns["t_scheduled_ns"][row] = 0
        columns["t_sent_ns"][row] = self._t_sent_ns[row] - self.epoch_ns
        columns["t_done_ns"][row] = self._t_done_ns[row] - self.epoch_ns
        columns["worker"][row] = 0
        failed = outcome.error is not None or (outcome.output_ids is None and not outcome.cancelled)
        columns["status"][row] = _FAILED if failed else _CANCELLED if outcome.cancelled else _OK
        if failed:
            self._errors[row] = outcome.error or "the runtime gave no answer and no reason"
        if outcome.output_ids is not None:
            columns["osl"][row] = len(outcome.output_ids)
            columns["osl_source"][row] = _RUNTIME
            columns["finish_reason"][row] = _STOP if outcome.stopped else _LENGTH
            if outcome.decode_iteration is not None:
                columns["tokens_per_iteration"][row] = len(outcome.output_ids) / (outcome.decode_iteration + 1)
        if len(t_token_ns):
            columns["t_first_token_ns"][row] = t_token_ns[0] - self.epoch_ns
            columns["t_last_token_ns"][row] = t_token_ns[-1] - self.epoch_ns
        elif columns["status"][row] == _OK and columns["osl"][row] > 0:
            columns["t_last_token_ns"][row] = columns["t_done_ns"][row]
