"""The ratio of means, and of rates, over the same requests in both runs: what prompts differ by cancels.

A mean over requests, and the pooled mean of gaps, are ratios of sums: sum of y over sum of x (x is 1 a request, or its
number of gaps). To first order the log of such a ratio moves by ``(y_i - m x_i) / sum(y)`` for each request, m being
the ratio; the difference of the two runs' terms is the pair's. Requests that are near in time share bad moments, so
the terms are summed over windows of requests as long as the blocks of `metrics.blocks`; neighbours may share more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.compare.ratio import LogRatio
from tokenclock.metrics import latency
from tokenclock.metrics.blocks import MAX_BLOCKS, MIN_BLOCKS, time_blocks
from tokenclock.metrics.confidence import variance_of_sum
from tokenclock.records import Records

__all__ = ["paired_ratios"]

Array = npt.NDArray[Any]

_COLUMNS: Mapping[str, Callable[[Records], Array]] = {
    "ttft": latency.ttft_ns,
    "tpot": latency.tpot_ns,
    "e2el": latency.e2el_ns,
    "response_ttft": latency.response_ttft_ns,
    "response_e2el": latency.response_e2el_ns,
}


def paired_ratios(base: Records, other: Records) -> Mapping[str, LogRatio]:
    """``ttft.mean``, ``tpot.mean``, ``itl.mean``, ``e2el.mean``, ``user_throughput``, both rates of a run, and, where
    requests had a due time, ``response_ttft.mean`` and ``response_e2el.mean``.

    A metric whose requests did not end well in both runs alike is left out.
    Empty where the runs have not the same number of requests, or are too short for ten windows.
    """
    if base.n_requests != other.n_requests:
        return {}
    n_blocks = min(_n_blocks(base), _n_blocks(other))
    if n_blocks < MIN_BLOCKS:
        return {}
    order = np.argsort(base.columns["t_sent_ns"], kind="stable")
    found = {}
    for tag in (*_COLUMNS, "itl", "user_throughput"):
        (y_base, x_base), (y_other, x_other) = _sums(base, tag), _sums(other, tag)
        known = np.isfinite(y_base)
        # a request that ended well in one of the runs only has no pair, and the numbers shown count it: then no pairing
        if not np.array_equal(known, np.isfinite(y_other)) or int(known.sum()) < 2 * MIN_BLOCKS:
            continue
        rows = order[known[order]]
        found[tag if tag == "user_throughput" else f"{tag}.mean"] = _ratio(
            y_base[rows], x_base[rows], y_other[rows], x_other[rows], n_blocks
        )
    if bool(np.array_equal(base.ok, other.ok)) and base.ok.any():
        found |= {
            "request_throughput": _rate_ratio(base, other, n_blocks, by_tokens=False),
            "output_throughput": _rate_ratio(base, other, n_blocks, by_tokens=True),
        }
    return found


def _n_blocks(records: Records) -> int:
    sent = records.columns["t_sent_ns"][records.present("t_sent_ns")]
    last = records.columns["t_last_token_ns"][records.present("t_last_token_ns")]
    if not len(sent) or not len(last):
        return 0
    blocks = time_blocks(int(sent.min()), int(last.max()), latency.median_e2el_ns(records))
    return min(blocks.n, MAX_BLOCKS)


def _sums(records: Records, tag: str) -> tuple[Array, Array]:
    """float64 (n,) each: what is summed above and below; NaN above where the request has none."""
    if tag == "itl":
        gaps = np.maximum(np.diff(records.token_offsets) - 1, 0).astype(np.float64)
        span = latency.e2el_ns(records) - latency.ttft_ns(records)
        return np.where(gaps > 0, span, np.nan), gaps
    if tag == "user_throughput":
        e2el = latency.e2el_ns(records)
        return records.columns["osl"] / np.where(e2el > 0, e2el, np.nan), np.ones(records.n_requests)
    column = _COLUMNS[tag](records)
    return column, np.ones(records.n_requests)


def _ratio(y_base: Array, x_base: Array, y_other: Array, x_other: Array, n_blocks: int) -> LogRatio:
    terms = _terms(y_other, x_other) - _terms(y_base, x_base)
    block = np.arange(len(terms)) * n_blocks // len(terms)
    error = math.sqrt(variance_of_sum(np.bincount(block, weights=terms, minlength=n_blocks)))
    value = math.log((y_other.sum() / x_other.sum()) / (y_base.sum() / x_base.sum()))
    return LogRatio(value, error, error, n_blocks - 1)


def _rate_ratio(base: Records, other: Records, n_blocks: int, *, by_tokens: bool) -> LogRatio:
    """Of amounts over durations. A run is the sum of its windows, each from the sending of its first request to that of
    the next window's; where both runs keep pace a window is the same share of both, ramp-up and drain included."""
    (amounts_base, spans_base), (amounts_other, spans_other) = (
        _windows(records, n_blocks, by_tokens=by_tokens) for records in (base, other)
    )
    terms = _shares(amounts_other) - _shares(spans_other) - _shares(amounts_base) + _shares(spans_base)
    error = math.sqrt(variance_of_sum(terms))
    value = math.log(amounts_other.sum() / spans_other.sum() / (amounts_base.sum() / spans_base.sum()))
    return LogRatio(value, error, error, n_blocks - 1)


def _windows(records: Records, n_blocks: int, *, by_tokens: bool) -> tuple[Array, Array]:
    """float64 (n_blocks,) each: what the requests of each window brought, and how long it lasted in ns."""
    sent = records.columns["t_sent_ns"]
    rows = np.argsort(sent, kind="stable")
    rows = rows[records.present("t_sent_ns")[rows]]
    block = np.arange(len(rows)) * n_blocks // len(rows)
    worth = np.maximum(records.columns["osl"], 0) if by_tokens else np.ones(records.n_requests)
    amounts = np.bincount(block, weights=(worth * records.ok)[rows], minlength=n_blocks)
    firsts = sent[rows][np.searchsorted(block, np.arange(n_blocks))]
    last = records.columns["t_last_token_ns"][records.present("t_last_token_ns")].max()
    return amounts, np.diff(np.append(firsts, last)).astype(np.float64)


def _shares(parts: Array) -> Array:
    return np.asarray(parts / parts.sum())


def _terms(y: Array, x: Array) -> Array:
    return np.asarray((y - y.sum() / x.sum() * x) / y.sum())
