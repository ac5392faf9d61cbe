"""What each request sent and received when, one after the other, by the wall clock: for files that list requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tokenclock.plan_windows import KEPT_WINDOWS
from tokenclock.records import Records

__all__ = ["RequestSeries", "boundaries_ns", "request_series", "window_ns"]


@dataclass(frozen=True)
class RequestSeries:
    """One request that ended well; instants in ns since 1970 where the run's clock was tied to that, else since its own
    start.

    Args:
        row: of the workload.
        t_sent_ns: just before its first byte was sent.
        t_response_ns: of each token event; without a stream of the whole reply.
        n_tokens: what each of them carried; without a stream the tokens of the reply, -1 where unknown.
        text: of the whole reply; None where it was not kept.
    """

    row: int
    t_sent_ns: int
    t_response_ns: list[int]
    n_tokens: list[int]
    text: str | None


def request_series(records: Records) -> Iterator[RequestSeries]:
    """The requests that ended well and have an answer, in the order of the workload."""
    columns, offsets, epoch_ns = records.columns, records.token_offsets.tolist(), _epoch_ns(records)
    usable = records.ok & records.present("t_sent_ns") & records.present("t_last_token_ns")
    for row in np.flatnonzero(usable).tolist():
        first, end = offsets[row], offsets[row + 1]
        times, carried = records.t_token_ns[first:end], records.n_tokens[first:end].tolist()
        if first == end:
            times, carried = columns["t_last_token_ns"][row : row + 1], [int(columns["osl"][row])]
        yield RequestSeries(
            row=int(columns["request_id"][row]),
            t_sent_ns=epoch_ns + int(columns["t_sent_ns"][row]),
            t_response_ns=(times + epoch_ns).tolist(),
            n_tokens=carried,
            text=None if records.texts is None else records.texts[row],
        )


def window_ns(records: Records) -> list[int]:
    """First send and last answer of the requests that ended well, in ns as in the series; empty without any."""
    usable = records.ok & records.present("t_sent_ns") & records.present("t_last_token_ns")
    if not usable.any():
        return []
    epoch_ns = _epoch_ns(records)
    first, last = records.columns["t_sent_ns"][usable].min(), records.columns["t_last_token_ns"][usable].max()
    return [epoch_ns + int(first), epoch_ns + int(last)]


def boundaries_ns(records: Records) -> list[int]:
    """Where the windows that are reported begin and end, in ns as in the series: n windows have n + 1 boundaries.

    Of a run that did not end by windows it is the one of `window_ns`.
    """
    windows = records.client.get("windows")
    if not windows:
        return window_ns(records)
    epoch_ns, kept = _epoch_ns(records), windows[-KEPT_WINDOWS:]
    return [epoch_ns + int(kept[0]["t_start_ns"]), *(epoch_ns + int(window["t_end_ns"]) for window in kept)]


def _epoch_ns(records: Records) -> int:
    return int(records.client.get("epoch_realtime_ns", 0))
