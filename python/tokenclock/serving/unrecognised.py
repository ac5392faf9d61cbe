"""Reads the stream events that the native walker did not know, with Python's json, after the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.records import MISSING_NS, STATUS_NAMES

__all__ = ["Events", "merged", "read_unrecognised"]

Array = npt.NDArray[Any]

_OK, _PROTOCOL_ERROR = STATUS_NAMES.index("ok"), STATUS_NAMES.index("protocol_error")
_EXCERPT = 200


@dataclass(frozen=True)
class Events:
    """Ragged token columns as in `Records`."""

    offsets: Array
    t_token_ns: Array
    n_tokens: Array
    t_read_ns: Array


def read_unrecognised(
    raw_events: Sequence[tuple[int, int, int, bytes]],
    columns: dict[str, Array],
    events: Events,
    errors: dict[int, str],
    osl_events: Array,
) -> tuple[Events, int]:
    """Turn unknown events with content into token events; a row whose event is no JSON becomes a protocol error.

    Changes `columns`, `errors` and `osl_events` in place. Returns the events, and how many raw ones had content.
    """
    found: list[tuple[int, int, int]] = []  # row, t_token_ns, t_read_ns
    for row, t_token_ns, t_read_ns, data in raw_events:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            if columns["status"][row] == _OK:
                columns["status"][row] = _PROTOCOL_ERROR
                errors[row] = f"event is not JSON: {data[:_EXCERPT].decode('utf-8', 'replace')}"
            continue
        if _has_content(value):
            found.append((row, t_token_ns, t_read_ns))
    if not found:
        return events, 0
    for row, t_token_ns, _ in found:
        first, last = columns["t_first_token_ns"], columns["t_last_token_ns"]
        first[row] = t_token_ns if first[row] == MISSING_NS else min(first[row], t_token_ns)
        last[row] = max(last[row], t_token_ns)  # MISSING_NS is the smallest number there is
        osl_events[row] += 1
    return merged(events, found), len(found)


def _has_content(value: object) -> bool:
    """Whether any choice carries a non-empty string or list where OpenAI-like servers put generated content."""
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list):
        return False
    for choice in choices:
        if not isinstance(choice, dict):
            continue
        for holder in (choice, choice.get("delta"), choice.get("message")):
            if isinstance(holder, dict) and any(
                isinstance(holder.get(key), (str, list)) and holder[key]
                for key in ("text", "content", "reasoning_content", "reasoning", "tool_calls")
            ):
                return True
    return False


def merged(events: Events, found: Sequence[tuple[int, int, int]]) -> Events:
    """The ragged columns with the found events in their place by time."""
    n_rows = len(events.offsets) - 1
    rows = np.repeat(np.arange(n_rows), np.diff(events.offsets))
    added = np.asarray(found, dtype=np.int64)
    all_rows = np.concatenate([rows, added[:, 0]])
    t_token_ns = np.concatenate([events.t_token_ns, added[:, 1]])
    order = np.lexsort((t_token_ns, all_rows))
    offsets = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(all_rows, minlength=n_rows), out=offsets[1:])
    return Events(
        offsets,
        t_token_ns[order],
        np.concatenate([events.n_tokens, np.ones(len(added), dtype=np.int32)])[order],
        np.concatenate([events.t_read_ns, added[:, 2]])[order],
    )
