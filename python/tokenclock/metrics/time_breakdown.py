"""Where a request's time went inside the server, from the stamps that trtllm-serve keeps (`/perf_metrics`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.metrics.serving_face import RULE
from tokenclock.metrics.summary import distribution
from tokenclock.records import Records

__all__ = ["SEGMENTS", "TimeBreakdown", "time_breakdown"]

# name -> stamps it lies between: ctx and gen are the context (or only) and the generation server, disagg the front
SEGMENTS: dict[str, tuple[str, str]] = {
    "disagg_preprocessing": ("disagg_server_arrival_time", "ctx_server_arrival_time"),
    "ctx_preprocessing": ("ctx_server_arrival_time", "ctx_arrival_time"),
    "ctx_queue": ("ctx_arrival_time", "ctx_first_scheduled_time"),
    "ctx_processing": ("ctx_first_scheduled_time", "ctx_first_token_time"),
    "ctx_postprocessing": ("ctx_first_token_time", "ctx_server_first_token_time"),
    "disagg_relay": ("ctx_server_first_token_time", "gen_server_arrival_time"),
    "gen_preprocessing": ("gen_server_arrival_time", "gen_arrival_time"),
    "gen_queue": ("gen_arrival_time", "gen_first_scheduled_time"),
    "gen_postprocessing": ("gen_first_scheduled_time", "gen_server_first_token_time"),
    "disagg_postprocessing": ("gen_server_first_token_time", "disagg_server_first_token_time"),
}
_STAMPS = ("server_arrival_time", "arrival_time", "first_scheduled_time", "first_token_time", "server_first_token_time")
_ARRIVALS = ("disagg_server_arrival_time", "ctx_server_arrival_time", "ctx_arrival_time")
_FIRST_TOKENS = ("disagg_server_first_token_time", "gen_server_first_token_time", "ctx_server_first_token_time")
OUTSIDE = "outside_server"


@dataclass(frozen=True)
class TimeBreakdown:
    """The server's records beside ours.

    Args:
        method: how they were joined: ``response id``, ``order``, or ``none``.
        n_records: records the server gave.
        n_joined: of these, how many belong to a known request.
        rows: for each request the index of its record, -1 where there is none.
        segments: name -> ``n``, ``mean_ns``, ``median_ns``, ``p99_ns`` over the records that have it;
            ``outside_server`` is our TTFT without the server's own time to its first token, over joined requests.
    """

    method: str
    n_records: int
    n_joined: int
    rows: tuple[int, ...]
    segments: Mapping[str, Mapping[str, float | int]]


def time_breakdown(
    server_records: Sequence[Mapping[str, Any]], records: Records, own_ids: Sequence[str] | None = None
) -> TimeBreakdown:
    """Join the server's records to ours and summarise each segment.

    By the id of the response, or our own id where it was sent; else by order of arrival, when there are as many
    records as requests that were sent (or that ended well); else not at all.

    Args:
        server_records: what the server gave, one mapping per request.
        records: the run.
        own_ids: the `x-request-id` of each row.
    """
    stamps = [_stamps(record) for record in server_records]
    method, rows = _join(server_records, stamps, records, own_ids)
    segments: dict[str, Mapping[str, float | int]] = {}
    for name, (begin, end) in SEGMENTS.items():
        spans_s = [found[end] - found[begin] for found in stamps if begin in found and end in found]
        _describe(segments, name, [span for span in spans_s if span >= 0])
    outside_s = []
    ttft_ns = latency.ttft_ns(records)
    for row, index in enumerate(rows):
        span = _server_span(stamps[index]) if index >= 0 else None
        if span is not None and np.isfinite(ttft_ns[row]):
            outside_s.append(units.ns_to_s(float(ttft_ns[row])) - span)
    _describe(segments, OUTSIDE, outside_s)
    return TimeBreakdown(method, len(server_records), sum(row >= 0 for row in rows), tuple(rows), segments)


def _describe(segments: dict[str, Mapping[str, float | int]], name: str, spans_s: Sequence[float]) -> None:
    found = distribution(name, np.asarray(spans_s, dtype=np.float64) * units.NS_PER_S)
    median, p99 = found.percentile(50, RULE), found.percentile(99, RULE)
    if found.mean is not None and median is not None and p99 is not None:
        segments[name] = {"n": found.n, "mean_ns": found.mean, "median_ns": median, "p99_ns": p99}


def _stamps(record: Mapping[str, Any]) -> dict[str, float]:
    """Every known stamp of a record in s, with the name of its server in front; what is no number is left out."""
    context, generation = record.get("ctx_perf_metrics"), record.get("gen_perf_metrics")
    found = {f"ctx_{name}": value for name, value in _timing(record if context is None else context).items()}
    found |= {f"gen_{name}": value for name, value in _timing(generation).items()}
    found |= {name: record.get(name) for name in ("disagg_server_arrival_time", "disagg_server_first_token_time")}
    return {name: float(value) for name, value in found.items() if _is_stamp(value)}


def _timing(holder: Any) -> dict[str, Any]:
    for key in ("perf_metrics", "timing_metrics"):
        holder = holder.get(key) if isinstance(holder, Mapping) else None
    return {name: holder.get(name) for name in _STAMPS} if isinstance(holder, Mapping) else {}


def _is_stamp(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _server_span(stamps: Mapping[str, float]) -> float | None:
    begin = next((stamps[name] for name in _ARRIVALS if name in stamps), None)
    end = next((stamps[name] for name in _FIRST_TOKENS if name in stamps), None)
    return None if begin is None or end is None or end < begin else end - begin


def _ids(record: Mapping[str, Any]) -> list[str]:
    context = record.get("ctx_perf_metrics")
    holders = [record, context if isinstance(context, Mapping) else {}]
    return [str(holder["request_id"]) for holder in holders if holder.get("request_id") is not None]


def _join(
    server_records: Sequence[Mapping[str, Any]],
    stamps: Sequence[Mapping[str, float]],
    records: Records,
    own_ids: Sequence[str] | None,
) -> tuple[str, list[int]]:
    n = records.n_requests
    rows = [-1] * n
    by_id: dict[str, int] = {}
    for ids in (records.response_ids, own_ids):
        counts = Counter(ids or ())
        by_id |= {text: row for row, text in enumerate(ids or ()) if text and counts[text] == 1}
    for index, record in enumerate(server_records):
        for text in _ids(record):
            if text in by_id:
                rows[by_id[text]] = index
    if any(index >= 0 for index in rows):
        return "response id", rows
    arrivals = [next((found[name] for name in _ARRIVALS if name in found), None) for found in stamps]
    known = [arrival for arrival in arrivals if arrival is not None]
    if not known or len(known) < len(arrivals):
        return "none", rows
    order = np.argsort(known, kind="stable")
    sent_ns = records.columns["t_sent_ns"]
    for eligible in (records.present("t_sent_ns"), records.ok):
        candidates = np.flatnonzero(eligible)
        if len(candidates) == len(order):
            for row, index in zip(candidates[np.argsort(sent_ns[candidates], kind="stable")], order, strict=True):
                rows[row] = int(index)
            return "order", rows
    return "none", rows
