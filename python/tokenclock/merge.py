"""Puts the Records of several clients together, as if one had sent all requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.records import REQUEST_COLUMNS, Records, empty_columns

__all__ = ["Part", "merge_client", "merge_records"]

Array = npt.NDArray[Any]

_LOWEST = {"measured_from_ns"}
_HIGHEST = {
    "anchor_uncertainty_ns",
    "epoch_realtime_ns",
    "wall_ns",
}  # of counters: the highest of all clients; the others add up


@dataclass(frozen=True)
class Part:
    """What one client saw.

    Args:
        rows: int64 (k,), the rows of the whole run that its own rows 0..k-1 are.
        records: k rows; instants relative to the instant that all clients agreed on.
    """

    rows: Array
    records: Records

    def __post_init__(self) -> None:
        if len(self.rows) != self.records.n_requests:
            raise ValueError(f"expected a row number for each of {self.records.n_requests}, got {len(self.rows)}")


def merge_records(parts: Sequence[Part], asked: Mapping[str, Array]) -> Records:
    """One row per request of the whole run; a row that no part has was not sent.

    Args:
        parts: one or more; no two have a row in common. The epoch is the first one's.
        asked: full columns known beforehand, at least ``isl_requested`` and ``osl_requested``, shape (n,).

    Raises:
        ValueError: no part, a row in two parts, or a row past the end.
    """
    n = len(next(iter(asked.values())))
    had = np.concatenate([np.zeros(0, np.int64), *(part.rows for part in parts)])
    if not parts or len(np.unique(had)) != len(had) or (len(had) and not 0 <= had.min() <= had.max() < n):
        raise ValueError(f"expected parts with rows of their own among {n}, got {[len(part.rows) for part in parts]}")
    lost = np.setdiff1d(np.arange(n), had)
    several = [_renumbered(part.records, parts[:i]) for i, part in enumerate(parts)]
    records = _one_after_the_other([*several, _unsent(len(lost))])
    whole = records.take(np.argsort(np.concatenate([had, lost]), kind="stable"))
    columns = dict(whole.columns)
    columns["request_id"] = np.arange(n, dtype=np.int64)
    for name, column in asked.items():
        columns[name] = np.asarray(column, dtype=REQUEST_COLUMNS[name][0])
    return replace(
        whole,
        epoch_ns=parts[0].records.epoch_ns,
        columns=columns,
        client=merge_client([part.records.client for part in parts]),
    )


def merge_client(clients: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The counters of several clients as those of one: whole numbers add up, except that of ``wall_ns`` and the like
    the highest counts, or the lowest; yes where any says yes; lists follow each other; texts that differ are all
    named."""
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for client in clients for name in client):
        values = [client[name] for client in clients if name in client]
        first = values[0]
        if isinstance(first, bool):
            merged[name] = any(values)
        elif isinstance(first, int):
            merged[name] = max(values) if name in _HIGHEST else min(values) if name in _LOWEST else sum(values)
        elif isinstance(first, list):
            merged[name] = [item for value in values for item in value]
        elif isinstance(first, str):
            merged[name] = " and ".join(dict.fromkeys(values))
        else:
            merged[name] = first
    return merged


def _unsent(n: int) -> Records:
    nothing = np.zeros(0, np.int64)
    return Records(0, empty_columns(n), np.zeros(n + 1, np.int64), nothing, np.zeros(0, np.int32), nothing)


def _renumbered(records: Records, before: Sequence[Part]) -> Records:
    """Workers and connections get numbers that no client before has."""
    columns = dict(records.columns)
    for name in ("worker", "connection_id"):
        taken = sum(int(part.records.columns[name].max(initial=-1)) + 1 for part in before)
        own = columns[name]
        columns[name] = np.where(own >= 0, own + taken, own).astype(own.dtype)
    return replace(records, columns=columns)


def _one_after_the_other(parts: Sequence[Records]) -> Records:
    starts = np.cumsum([0, *(part.n_requests for part in parts)]).tolist()
    lengths = np.concatenate([np.diff(part.token_offsets) for part in parts])
    return Records(
        epoch_ns=parts[0].epoch_ns,
        columns={name: np.concatenate([part.columns[name] for part in parts]) for name in REQUEST_COLUMNS},
        token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        t_token_ns=np.concatenate([part.t_token_ns for part in parts]),
        n_tokens=np.concatenate([part.n_tokens for part in parts]),
        t_read_ns=np.concatenate([part.t_read_ns for part in parts]),
        texts=_joined([part.texts for part in parts], parts, ""),
        errors={
            start + row: text for start, part in zip(starts, parts, strict=False) for row, text in part.errors.items()
        },
        response_ids=_joined([part.response_ids for part in parts], parts, ""),
        final_events=_joined([part.final_events for part in parts], parts, b""),
    )


def _joined(lists: Sequence[list[Any] | None], parts: Sequence[Records], nothing: Any) -> list[Any] | None:
    """One list of all, with `nothing` for the rows of a part that kept none; None where no part kept any."""
    if all(kept is None for kept in lists):
        return None
    return [
        item
        for kept, part in zip(lists, parts, strict=True)
        for item in (kept if kept is not None else [nothing] * part.n_requests)
    ]
