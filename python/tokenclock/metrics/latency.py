"""Latencies of requests that ended well: columns in, columns out, in ns; ``NaN`` where a request has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.records import Records

__all__ = [
    "connect_ns",
    "e2el_ns",
    "itl_ns",
    "itl_per_token_is_known",
    "median_e2el_ns",
    "response_e2el_ns",
    "response_ttft_ns",
    "timed_itl_ns",
    "tls_handshake_ns",
    "tokens_of_events",
    "tpot_after_first_event_ns",
    "tpot_ns",
    "ttft_ns",
    "ttst_ns",
]

Array = npt.NDArray[Any]


def _difference(records: Records, end: str, start: str) -> Array:
    """float64 (n,): ``end - start`` of ok rows, NaN where an instant is absent; exact below 2**53 ns (104 days)."""
    known = records.ok & records.present(end) & records.present(start)
    values = np.full(records.n_requests, np.nan)
    values[known] = records.columns[end][known] - records.columns[start][known]
    return values


def ttft_ns(records: Records) -> Array:
    """First token event - sent, one value per row; NaN for failures, empty answers and replies that did not stream."""
    return _difference(records, "t_first_token_ns", "t_sent_ns")


def ttst_ns(records: Records) -> Array:
    """Second token event - first token event, one value per row; NaN where there are fewer than two."""
    values = np.full(records.n_requests, np.nan)
    rows = np.flatnonzero(records.ok & (np.diff(records.token_offsets) >= 2))
    first = records.token_offsets[:-1][rows]
    values[rows] = records.t_token_ns[first + 1] - records.t_token_ns[first]
    return values


def e2el_ns(records: Records) -> Array:
    """Last token event - sent (without streaming: last byte of the reply), one value per row."""
    return _difference(records, "t_last_token_ns", "t_sent_ns")


def median_e2el_ns(records: Records) -> float | None:
    """The run's scale of time: half of the ok requests live no longer; None when none has an end."""
    values = e2el_ns(records)
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def response_ttft_ns(records: Records) -> Array:
    """First token event - scheduled: what a user saw who wanted to send at the scheduled instant."""
    return _difference(records, "t_first_token_ns", "t_scheduled_ns")


def response_e2el_ns(records: Records) -> Array:
    """Last token event - scheduled."""
    return _difference(records, "t_last_token_ns", "t_scheduled_ns")


def connect_ns(records: Records) -> Array:
    """From the start of connect to the connection, without TLS, for the requests that opened one."""
    return np.where(
        records.present("t_tls_ns"),
        _difference(records, "t_tls_ns", "t_connect_ns"),
        _difference(records, "t_sent_ns", "t_connect_ns"),
    )


def tls_handshake_ns(records: Records) -> Array:
    """Sent - start of the TLS handshake, for the requests that needed one."""
    return _difference(records, "t_sent_ns", "t_tls_ns")


def _per_token(records: Records, first_tokens: Array | int) -> Array:
    after = records.columns["osl"].astype(np.int64) - first_tokens
    span = _difference(records, "t_last_token_ns", "t_first_token_ns")
    values = np.full(records.n_requests, np.nan)
    np.divide(span, after, out=values, where=after >= 1)
    return values


def tpot_ns(records: Records) -> Array:
    """(E2EL - TTFT) / (OSL - 1), one value per row with OSL >= 2, else NaN."""
    return _per_token(records, 1)


def tpot_after_first_event_ns(records: Records) -> Array:
    """(E2EL - TTFT) / (OSL - k) where the first event carried k tokens and OSL > k, else NaN."""
    first_tokens = np.ones(records.n_requests, dtype=np.int64)
    has_events = np.diff(records.token_offsets) > 0
    first_tokens[has_events] = records.n_tokens[records.token_offsets[:-1][has_events]]
    return _per_token(records, first_tokens)


def itl_ns(records: Records) -> tuple[Array, Array]:
    """All gaps between successive token events of one request, over ok rows.

    Returns:
        gaps: int64 (k,) in ns; tokens: int32 (k,), what the later event of each gap carried.
    """
    gaps, tokens, _ = timed_itl_ns(records)
    return gaps, tokens


def timed_itl_ns(records: Records) -> tuple[Array, Array, Array]:
    """As `itl_ns`, and int64 (k,) the instant of each gap's later event."""
    if records.n_events == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)
    later = np.repeat(records.ok, np.diff(records.token_offsets))
    starts = records.token_offsets[:-1]
    later[starts[starts < records.n_events]] = False  # no gap ends at the first event of a row
    later = later[1:]
    return np.diff(records.t_token_ns)[later], records.n_tokens[1:][later], records.t_token_ns[1:][later]


def tokens_of_events(records: Records) -> Array:
    """int64 (n,): tokens carried by all events of each row."""
    sums = np.concatenate([[0], np.cumsum(records.n_tokens, dtype=np.int64)])
    return np.asarray(sums[records.token_offsets[1:]] - sums[records.token_offsets[:-1]])


def itl_per_token_is_known(records: Records) -> bool:
    """True when the tokens counted event by event add up to the OSL of every ok row."""
    ok = records.ok
    return bool(np.array_equal(tokens_of_events(records)[ok], records.columns["osl"][ok]))
