"""What the token events of a log tell of their stamps, where the client's own counters were lost with its process."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["counters_of_events"]

Array = npt.NDArray[Any]


def counters_of_events(token_offsets: Array, t_token_ns: Array, t_read_ns: Array) -> dict[str, Any]:
    """The client's counters of stamps, as far as the events tell them.

    A stamp taken in user space is the instant of the read; only the kernel's is earlier. Where none is earlier, the
    source is not known: ``stamp_source`` and ``n_events_kernel`` are then absent. Events of one request that have one
    instant of reading came in one read.

    Args:
        token_offsets: int64 (n + 1,), where each request's events begin.
        t_token_ns: int64 (k,), when each event arrived.
        t_read_ns: int64 (k,), when it was read.
    """
    n_events = len(t_token_ns)
    counters: dict[str, Any] = {"n_events": n_events}
    n_kernel = int((t_token_ns < t_read_ns).sum())
    if n_kernel:
        counters |= {"stamp_source": "kernel", "n_events_kernel": n_kernel}
    row = np.repeat(np.arange(len(token_offsets) - 1), np.diff(token_offsets))
    with_next = (row[1:] == row[:-1]) & (t_read_ns[1:] == t_read_ns[:-1])
    shared = np.zeros(n_events, bool)
    shared[1:] |= with_next
    shared[:-1] |= with_next
    firsts = token_offsets[:-1][np.diff(token_offsets) > 0]
    return {
        **counters,
        "n_events_coalesced": int(shared.sum()),
        "n_first_tokens_coalesced": int(shared[firsts].sum()),
    }
