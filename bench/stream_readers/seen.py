"""What every reader writes down, so that one function can hold it against the server's truth."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.summary import rank_percentile
from tokenclock.serving.paced_truth import Truth

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Seen:
    """Instants are CLOCK_MONOTONIC ns.

    Args:
        number: int64 (n,), the paced server's number of each request; -1 unknown.
        t_sent_ns: int64 (n,).
        event_request: int64 (m,), the request of each event, which are in order of arrival.
        t_event_ns: int64 (m,).
    """

    number: Array
    t_sent_ns: Array
    event_request: Array
    t_event_ns: Array


def write(path: str | os.PathLike[str], seen: Seen) -> None:
    """The same bytes that `epoll_reader` writes."""
    head = np.array([len(seen.number), len(seen.event_request)], np.int64)
    requests = np.stack([seen.number, seen.t_sent_ns], axis=1).astype(np.int64)
    events = np.stack([seen.event_request, seen.t_event_ns], axis=1).astype(np.int64)
    with open(path, "wb") as file:
        for array in (head, requests, events):
            file.write(array.tobytes())


def read(path: str | os.PathLike[str]) -> Seen:
    """What `write` or `epoll_reader` wrote."""
    data = np.fromfile(path, np.int64)
    n, m = int(data[0]), int(data[1])
    requests, events = data[2 : 2 + 2 * n].reshape(n, 2), data[2 + 2 * n : 2 + 2 * (n + m)].reshape(m, 2)
    return Seen(requests[:, 0], requests[:, 1], events[:, 0], events[:, 1])


def errors_us(seen: Seen, truth: Truth, osl: int) -> dict[str, float]:
    """Error of mean TTFT, of its p99, and the p99 of the errors of all gaps without their signs; us.

    The first `osl` events of a request are its tokens: what comes behind them (usage, [DONE]) is left out. Sends that
    carried several events are one step: only its first event is held against it.
    """
    order = np.argsort(seen.event_request, kind="stable")
    events = seen.t_event_ns[order]
    offsets = np.searchsorted(seen.event_request[order], np.arange(len(seen.number) + 1))
    ttft, true_ttft, gaps = [], [], []
    true_of = truth.ttft_ns
    for request, k in enumerate(seen.number.tolist()):
        tokens = events[offsets[request] : offsets[request + 1]][:osl]
        if k < 0 or len(tokens) < osl:
            continue
        sends, counts = truth.content_sends(k)
        first_of_send = np.concatenate([[0], np.cumsum(counts)[:-1]])
        if int(counts.sum()) != osl:
            continue
        ttft.append(int(tokens[0] - seen.t_sent_ns[request]))
        true_ttft.append(int(true_of[k]))
        gaps.append(np.diff(tokens[first_of_send]) - np.diff(sends))
    if not ttft:
        raise ValueError("no request of the client is in the server's truth")
    ours, true = np.sort(ttft), np.sort(true_ttft)
    all_gaps = np.sort(np.abs(np.concatenate(gaps)))
    p99 = [rank_percentile(values.astype(float), 99) for values in (ours, true, all_gaps)]
    return {
        "n_compared": len(ttft),
        "mean_ttft_us": float(true.mean()) / 1e3,
        "mean_ttft_error_us": float(ours.mean() - true.mean()) / 1e3,
        "p99_ttft_error_us": ((p99[0] or 0.0) - (p99[1] or 0.0)) / 1e3,
        "gap_error_p99_us": float("nan") if p99[2] is None else p99[2] / 1e3,
    }
