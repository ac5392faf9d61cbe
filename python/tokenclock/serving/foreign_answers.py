"""Settles, after the run, what answers of an API that the native client does not know have said.

The native client stamps and keeps their events without understanding them. Of a reply in one piece it knows the stamps,
the HTTP status and the beginning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.records import FINISH_REASON_NAMES, MISSING_NS, STATUS_NAMES
from tokenclock.serving.endpoint_kind import Answer, EndpointKind
from tokenclock.serving.unrecognised import Events, merged

__all__ = ["settle_answers"]

Array = npt.NDArray[Any]
RawEvent = tuple[int, int, int, bytes]  # row, t_token_ns, t_read_ns, data

_OK, _TRUNCATED, _STREAM_ERROR, _PROTOCOL_ERROR = (
    STATUS_NAMES.index(name) for name in ("ok", "truncated", "stream_error", "protocol_error")
)
_ENDED_EARLY = "the stream ended before a finish reason"  # the native client's words for a stream that ended in order
_LOST = "the answer's last events are not known: more than 16 MiB of events of this API were kept"


def settle_answers(
    kind: EndpointKind,
    raw_events: Sequence[RawEvent],
    columns: dict[str, Array],
    events: Events,
    errors: dict[int, str],
    osl_events: Array,
    osl_server: Array,
    *,
    streamed: bool,
    n_lost: int = 0,
) -> tuple[Events, dict[int, str]]:
    """Give each row its status, token events and counts; changes `columns`, `errors`, `osl_*` in place.

    Args:
        streamed: answers were asked for as event streams.
        n_lost: events that the native client had no room to keep.

    Returns:
        the token events, and the generated text of each row that has some.
    """
    if not streamed:
        _settle_whole(kind, columns, errors)
        return events, {}
    found: list[tuple[int, int, int]] = []
    texts: dict[int, list[str]] = {}
    ended, failed = set[int](), set[int]()
    for row, t_token_ns, t_read_ns, data in raw_events:
        try:
            answer = kind.read(json.loads(data))
        except (ValueError, RecursionError):
            errors[row] = f"event is not JSON: {data[:200].decode('utf-8', 'replace')}"
            columns["status"][row] = _PROTOCOL_ERROR
            failed.add(row)
            continue
        if answer.text:
            found.append((row, t_token_ns, t_read_ns))
            texts.setdefault(row, []).append(answer.text)
            _stamp(columns, row, t_token_ns)
            osl_events[row] += 1
        if answer.error is not None:
            columns["status"][row], errors[row] = _STREAM_ERROR, answer.error
            failed.add(row)
        elif answer.is_end:
            ended.add(row)
        _note(answer, row, columns, osl_server)
    _settle_streams(kind, columns, errors, ended - failed, failed, n_lost)
    return (merged(events, found) if found else events), {row: "".join(parts) for row, parts in texts.items()}


def _stamp(columns: dict[str, Array], row: int, t_token_ns: int) -> None:
    first, last = columns["t_first_token_ns"], columns["t_last_token_ns"]
    first[row] = t_token_ns if first[row] == MISSING_NS else min(first[row], t_token_ns)
    last[row] = max(last[row], t_token_ns)  # MISSING_NS is the smallest number there is


def _note(answer: Answer, row: int, columns: dict[str, Array], osl_server: Array) -> None:
    for column, value in (("isl_server", answer.isl), ("cached_tokens", answer.cached)):
        if value >= 0:
            columns[column][row] = value
    if answer.osl >= 0:
        osl_server[row] = answer.osl
    if answer.finish_reason in FINISH_REASON_NAMES:
        columns["finish_reason"][row] = FINISH_REASON_NAMES.index(answer.finish_reason)


def _settle_streams(
    kind: EndpointKind,
    columns: dict[str, Array],
    errors: dict[int, str],
    ended: set[int],
    failed: set[int],
    n_lost: int,
) -> None:
    """A stream without a mark that the native client knows has ended early for it; what it says decides."""
    status = columns["status"]
    for row in np.flatnonzero(status == _TRUNCATED).tolist():
        in_order = errors.get(row) == _ENDED_EARLY
        by_itself = kind.ends_with_stream and in_order and columns["t_first_token_ns"][row] != MISSING_NS
        if row in ended or (by_itself and row not in failed):
            status[row] = _OK
            errors.pop(row, None)
        elif in_order and n_lost:
            errors[row] = _LOST


def _settle_whole(kind: EndpointKind, columns: dict[str, Array], errors: dict[int, str]) -> None:
    """A good reply that is no completion counts as a protocol error there; its last byte is the answer's instant."""
    status, http_status = columns["status"], columns["http_status"]
    foreign = (status == _PROTOCOL_ERROR) & (http_status >= 200) & (http_status < 300)
    rows = np.flatnonzero(foreign).tolist()
    good = [row for row in rows if kind.whole_mark in errors.get(row, "")]
    if len(good) == sum(row in errors for row in rows):  # none was bad: nor were those whose beginning was not kept
        good = rows if good else []
    for row in good:
        status[row] = _OK
        errors.pop(row, None)
    answered = (status == _OK) & (columns["t_last_token_ns"] == MISSING_NS)
    columns["t_last_token_ns"][answered] = columns["t_done_ns"][answered]
