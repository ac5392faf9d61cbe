"""What a paced server really did: when each request arrived, when each send was made; kept in one .npz file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.atomic_file import atomic_write
from tokenclock.records import MISSING_NS

__all__ = ["FAULT_CLOSED_AFTER", "FAULT_COMMENTS", "FAULT_NAMES", "Truth"]

FAULT_NAMES = ("none", "status", "cut", "stall", "error-event", "garbage")  # the low four bits of `fault`
FAULT_COMMENTS = 0x10  # the stream was interleaved with comments
FAULT_CLOSED_AFTER = 0x20  # the connection was closed, unannounced, after this reply

_COLUMNS: dict[str, type[np.generic]] = {
    "t_arrival_ns": np.int64,
    "arrival_kernel": np.uint8,
    "t_read_ns": np.int64,
    "t_done_ns": np.int64,
    "t_first_on_wire_ns": np.int64,
    "prompt_tokens": np.int32,
    "max_tokens": np.int32,
    "status": np.int16,
    "fault": np.uint8,
    "send_offsets": np.int64,
    "t_send_ns": np.int64,
    "t_due_ns": np.int64,
    "n_tokens": np.int32,
    "n_events": np.int32,
}


@dataclass(frozen=True)
class Truth:
    """Arrivals and sends of a paced server. Instants are absolute CLOCK_MONOTONIC ns (`tokenclock.now_ns`).

    Row k is the k-th generation request by the arrival of its last byte; its reply's id is ``paced-<k>``. It owns the
    sends ``send_offsets[k]:send_offsets[k + 1]``. A send is one call of send(2), stamped just before it.
    """

    t_arrival_ns: npt.NDArray[np.int64]  #: [k] arrival of the request's last byte
    arrival_kernel: npt.NDArray[np.uint8]  #: [k] 1: stamped by the kernel; 0: when the server had read it
    t_read_ns: npt.NDArray[np.int64]  #: [k] when the server had read it
    t_done_ns: npt.NDArray[np.int64]  #: [k] the reply's last byte was handed over; MISSING_NS: never
    t_first_on_wire_ns: npt.NDArray[np.int64]  #: [k] kernel's stamp of the first send with tokens; MISSING_NS: none
    prompt_tokens: npt.NDArray[np.int32]  #: [k] -1: the request was refused before it was read
    max_tokens: npt.NDArray[np.int32]  #: [k] tokens to generate
    status: npt.NDArray[np.int16]  #: [k] HTTP status; 0: no reply was begun
    fault: npt.NDArray[np.uint8]  #: [k] index into FAULT_NAMES in the low four bits, then FAULT_* bits
    send_offsets: npt.NDArray[np.int64]  #: [k + 1]
    t_send_ns: npt.NDArray[np.int64]  #: [m] clock read just before send(2)
    t_due_ns: npt.NDArray[np.int64]  #: [m] when the send was due
    n_tokens: npt.NDArray[np.int32]  #: [m] 0: no content (head, role, error)
    n_events: npt.NDArray[np.int32]  #: [m] token events in the send
    meta: Mapping[str, Any]  #: the server's options and counters

    @property
    def n_requests(self) -> int:
        """Generation requests, refused ones included."""
        return len(self.t_arrival_ns)

    @property
    def t_first_content_ns(self) -> npt.NDArray[np.int64]:
        """[k] The first send that carried tokens; MISSING_NS where there was none."""
        owner = np.repeat(np.arange(self.n_requests), np.diff(self.send_offsets))
        with_content = np.flatnonzero(self.n_tokens > 0)
        first = np.full(self.n_requests, MISSING_NS, dtype=np.int64)
        rows, at = np.unique(owner[with_content], return_index=True)
        first[rows] = self.t_send_ns[with_content[at]]
        return first

    @property
    def ttft_ns(self) -> npt.NDArray[np.int64]:
        """[k] First send with tokens - arrival of the request; MISSING_NS where there was none.

        Both ends are stamps of the kernel where it gave them: what this server's own way through the kernel takes, from
        the call of send(2) to the device, is no error of the client's.
        """
        first = np.where(self.t_first_on_wire_ns == MISSING_NS, self.t_first_content_ns, self.t_first_on_wire_ns)
        return np.where(first == MISSING_NS, MISSING_NS, first - self.t_arrival_ns)

    def content_sends(self, request: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Stamps (ns) and token counts of one request's sends that carried tokens."""
        part = slice(int(self.send_offsets[request]), int(self.send_offsets[request + 1]))
        has_tokens = self.n_tokens[part] > 0
        return self.t_send_ns[part][has_tokens], self.n_tokens[part][has_tokens]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the .npz file; it takes its place whole or not at all. Raises OSError when it cannot be written."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in _COLUMNS}
        with atomic_write(path) as file:
            np.savez(file, meta=np.array(json.dumps(dict(self.meta))), **columns)

    @classmethod
    def from_npz(cls, path: str | os.PathLike[str]) -> Truth:
        """Read a file that `save` (or the paced-server command) wrote."""
        with np.load(path) as file:
            columns: dict[str, Any] = {name: file[name] for name in _COLUMNS if name in file}
            if "t_first_on_wire_ns" not in columns:  # a file of a version that had no such stamps
                columns["t_first_on_wire_ns"] = np.full(len(columns["t_arrival_ns"]), MISSING_NS, np.int64)
            return cls(**columns, meta=json.loads(str(file["meta"])))

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any], meta: Mapping[str, Any]) -> Truth:
        """From the native server's dict of arrays."""
        counters = {name: columns[name] for name in ("n_requests_lost", "n_sends_lost")}
        return cls(**{name: columns[name] for name in _COLUMNS}, meta={**meta, **counters})
