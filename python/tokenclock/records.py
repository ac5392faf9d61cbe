"""Records: what a run saw, as raw columns of one clock. Nothing averaged, nothing dropped, failures included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "FINISH_REASON_NAMES",
    "MISSING_NS",
    "OSL_SOURCE_NAMES",
    "REQUEST_COLUMNS",
    "STATUS_NAMES",
    "Records",
    "empty_columns",
    "from_arrays",
    "to_arrays",
]

Array = npt.NDArray[Any]

MISSING_NS = int(np.iinfo(np.int64).min)
"""An absent instant, in every ``t_*_ns`` column. Never 0."""

STATUS_NAMES: tuple[str, ...] = (
    "ok",
    "http_error",
    "connect_error",
    "timeout",
    "stalled",
    "cancelled",
    "truncated",
    "stream_error",
    "protocol_error",
    "not_sent",
)
FINISH_REASON_NAMES: tuple[str, ...] = ("none", "stop", "length", "tool_calls", "content_filter", "other")
OSL_SOURCE_NAMES: tuple[str, ...] = ("missing", "server usage", "tokenizer", "event count", "runtime")

# name -> (dtype, value that means "absent"); one row per scheduled request
REQUEST_COLUMNS: dict[str, tuple[str, float]] = {
    "request_id": ("int64", 0),
    "status": ("uint8", STATUS_NAMES.index("not_sent")),
    "isl_requested": ("int32", -1),
    "isl_server": ("int32", -1),
    "osl_requested": ("int32", -1),
    "osl": ("int32", -1),
    "osl_source": ("uint8", 0),
    "t_scheduled_ns": ("int64", MISSING_NS),
    "t_connect_ns": ("int64", MISSING_NS),
    "t_tls_ns": ("int64", MISSING_NS),
    "t_sent_ns": ("int64", MISSING_NS),
    "t_first_byte_ns": ("int64", MISSING_NS),
    "t_first_token_ns": ("int64", MISSING_NS),
    "t_last_token_ns": ("int64", MISSING_NS),
    "t_done_ns": ("int64", MISSING_NS),
    "http_status": ("int16", 0),
    "bytes_received": ("int64", 0),
    "connection_id": ("int32", -1),
    "worker": ("int16", -1),
    "cached_tokens": ("int32", -1),
    "finish_reason": ("uint8", 0),
    "resent": ("uint8", 0),
    "tokens_per_iteration": ("float64", float("nan")),
    "lora": ("int16", -1),  # which of the plan's LoRA modules was asked for
}


def empty_columns(n: int) -> dict[str, Array]:
    """All request columns for n rows, each filled with its own mark for "absent" and ``request_id`` 0..n-1."""
    columns = {name: np.full(n, absent, dtype=dtype) for name, (dtype, absent) in REQUEST_COLUMNS.items()}
    columns["request_id"] = np.arange(n, dtype=np.int64)
    return columns


@dataclass(frozen=True)
class Records:
    """One row per scheduled request, and the ragged columns of its token events.

    Args:
        epoch_ns: CLOCK_MONOTONIC at the run's agreed start; every ``t_*_ns`` column is relative to it.
        columns: name -> array of shape (n,), the names and dtypes of ``REQUEST_COLUMNS``.
        token_offsets: int64 (n + 1,); events of row i are ``[token_offsets[i], token_offsets[i + 1])``.
        t_token_ns: int64 (m,), arrival of each token event.
        n_tokens: int32 (m,), tokens that the event carried.
        t_read_ns: int64 (m,), when user space saw the event; minus ``t_token_ns`` it is the read lag.
        texts: generated text per row, where kept.
        errors: row -> message or excerpt of the error body.
        response_ids: the server's id of each reply, where kept.
        final_events: raw JSON of the event that carried usage, where kept.
        client: counters of the load client (native), and ``workers``, a list of one mapping per thread.

    Raises:
        ValueError: a column is missing, unknown, or of the wrong dtype or length; offsets that do not fit.
    """

    epoch_ns: int
    columns: Mapping[str, Array]
    token_offsets: Array
    t_token_ns: Array
    n_tokens: Array
    t_read_ns: Array
    texts: list[str] | None = None
    errors: dict[int, str] = field(default_factory=dict)
    response_ids: list[str] | None = None
    final_events: list[bytes] | None = None
    client: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.columns) != set(REQUEST_COLUMNS):
            missing = sorted(set(REQUEST_COLUMNS) - set(self.columns))
            unknown = sorted(set(self.columns) - set(REQUEST_COLUMNS))
            raise ValueError(f"request columns: missing {missing}, unknown {unknown}; see REQUEST_COLUMNS")
        n = len(self.columns["request_id"])
        for name, (dtype, _) in REQUEST_COLUMNS.items():
            _check(name, self.columns[name], dtype, n)
        _check("token_offsets", self.token_offsets, "int64", n + 1)
        n_events = len(self.t_token_ns)
        _check("t_token_ns", self.t_token_ns, "int64", n_events)
        _check("n_tokens", self.n_tokens, "int32", n_events)
        _check("t_read_ns", self.t_read_ns, "int64", n_events)
        offsets = self.token_offsets
        if offsets[0] != 0 or offsets[-1] != n_events or bool(np.any(np.diff(offsets) < 0)):
            raise ValueError(f"token_offsets must rise from 0 to {n_events}, got {offsets[0]} .. {offsets[-1]}")

    @property
    def n_requests(self) -> int:
        """Scheduled requests, failures included."""
        return len(self.columns["request_id"])

    @property
    def n_events(self) -> int:
        """Token events of all rows."""
        return len(self.t_token_ns)

    @property
    def ok(self) -> Array:
        """bool (n,): rows that ended well."""
        return np.asarray(self.columns["status"] == 0)

    def present(self, name: str) -> Array:
        """bool (n,): rows where the instant ``name`` was stamped."""
        return np.asarray(self.columns[name] != MISSING_NS)

    def row_of_event(self) -> Array:
        """int64 (m,): the row that each token event belongs to."""
        return np.repeat(np.arange(self.n_requests), np.diff(self.token_offsets))

    def take(self, rows: Sequence[int] | Array) -> Records:
        """The given rows, in the given order, with their events and texts; the counters stay those of the whole run."""
        order = np.asarray(rows, dtype=np.int64)
        lengths = np.diff(self.token_offsets)[order]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        starts = np.repeat(self.token_offsets[:-1][order] - offsets[:-1], lengths)
        events = starts + np.arange(int(offsets[-1]), dtype=np.int64)
        return replace(
            self,
            columns={name: column[order] for name, column in self.columns.items()},
            token_offsets=offsets,
            t_token_ns=self.t_token_ns[events],
            n_tokens=self.n_tokens[events],
            t_read_ns=self.t_read_ns[events],
            texts=None if self.texts is None else [self.texts[i] for i in order],
            errors={new: self.errors[int(old)] for new, old in enumerate(order) if int(old) in self.errors},
            response_ids=None if self.response_ids is None else [self.response_ids[i] for i in order],
            final_events=None if self.final_events is None else [self.final_events[i] for i in order],
        )

    def scrubbed(self, secrets: Sequence[str]) -> Records:
        """The same records with every secret in error texts replaced by ``***`` (servers echo keys in error bodies)."""
        words = sorted((word for word in secrets if word), key=len, reverse=True)
        errors = dict(self.errors)
        for row, text in errors.items():
            for word in words:
                text = text.replace(word, "***")
            errors[row] = text
        return replace(self, errors=errors)


def _check(name: str, column: Array, dtype: str, length: int) -> None:
    if column.dtype != np.dtype(dtype) or column.shape != (length,):
        raise ValueError(f"{name} must be {dtype} of shape ({length},), got {column.dtype} of shape {column.shape}")


def to_arrays(records: Records, *, with_tokens: bool = True) -> dict[str, Array]:
    """Plain named arrays, ready for an ``.npz`` file; texts and counters travel as UTF-8 JSON in the array ``meta``.

    Without tokens the ragged columns are left out and ``from_arrays`` gives rows without events.
    """
    arrays = dict(records.columns)
    if with_tokens:
        arrays["token_offsets"] = records.token_offsets
        arrays["t_token_ns"] = records.t_token_ns
        arrays["n_tokens"] = records.n_tokens
        arrays["t_read_ns"] = records.t_read_ns
    events = records.final_events
    meta = {
        "epoch_ns": records.epoch_ns,
        "errors": {str(row): text for row, text in records.errors.items()},
        "texts": records.texts,
        "response_ids": records.response_ids,
        "final_events": None if events is None else [event.decode("utf-8", "surrogateescape") for event in events],
        "client": records.client,
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode("ascii"), dtype=np.uint8)
    return arrays


def from_arrays(arrays: Mapping[str, Array]) -> Records:
    """Records from what ``to_arrays`` gave; a column this version does not know is ignored, a missing one is absent."""
    n = len(arrays["request_id"])
    columns = empty_columns(n)
    columns.update({name: np.asarray(arrays[name]) for name in REQUEST_COLUMNS if name in arrays})
    meta = json.loads(bytes(arrays["meta"]))
    has_tokens = "token_offsets" in arrays
    events = meta["final_events"]
    return Records(
        epoch_ns=meta["epoch_ns"],
        columns=columns,
        token_offsets=np.asarray(arrays["token_offsets"]) if has_tokens else np.zeros(n + 1, np.int64),
        t_token_ns=np.asarray(arrays["t_token_ns"]) if has_tokens else np.zeros(0, np.int64),
        n_tokens=np.asarray(arrays["n_tokens"]) if has_tokens else np.zeros(0, np.int32),
        t_read_ns=np.asarray(arrays["t_read_ns"]) if has_tokens else np.zeros(0, np.int64),
        texts=meta["texts"],
        errors={int(row): text for row, text in meta["errors"].items()},
        response_ids=meta["response_ids"],
        final_events=None if events is None else [event.encode("utf-8", "surrogateescape") for event in events],
        client=meta["client"],
    )
