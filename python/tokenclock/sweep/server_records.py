"""The server's own timing of each request (`/perf_metrics` of trtllm-serve) beside ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock import units
from tokenclock.errors import UsageError
from tokenclock.metrics import latency
from tokenclock.metrics.time_breakdown import time_breakdown
from tokenclock.report import columns_file
from tokenclock.result import Result

__all__ = ["join_server_records"]

_SPANS = {  # name -> stamps it lies between
    "queue_ms": ("arrival_time", "first_scheduled_time"),
    "prefill_ms": ("first_scheduled_time", "first_token_time"),
    "decode_ms": ("first_token_time", "last_token_time"),
    "server_ttft_ms": ("arrival_time", "first_token_time"),
}


def join_server_records(result: Path) -> dict[str, Any] | None:
    """Join `RESULT-perf_metrics.json` to the columns of the result; None where either is not there.

    Returns:
        `method` (`response id`, `order` or `none`), `n_records`, `n_joined`, and `requests`: for each row of ours
        `row`, `record`, `queue_ms`, `prefill_ms`, `decode_ms`, `server_ttft_ms`, `ttft_ms`; null where a stamp is
        missing. Of a disaggregated server queue and prefill are those of its context, decode those of its generation.
    """
    records_path = result.with_name(f"{result.stem}-perf_metrics.json")
    try:
        server_records = json.loads(records_path.read_text(encoding="utf-8"))
        records = columns_file.read(columns_file.columns_path(result))
    except (OSError, ValueError, UsageError):
        return None
    if not isinstance(server_records, list):
        return None
    server_records = [record for record in server_records if isinstance(record, Mapping)]
    joined = time_breakdown(server_records, records, _own_ids(result, records.n_requests))
    ttft_ns = latency.ttft_ns(records)
    rows = []
    for row, index in enumerate(joined.rows):
        ours = units.ns_to_ms(float(ttft_ns[row])) if np.isfinite(ttft_ns[row]) else None
        spans = _spans(server_records[index]) if index >= 0 else dict.fromkeys(_SPANS)
        rows.append({"row": row, "record": index if index >= 0 else None, **spans, "ttft_ms": ours})
    return {"method": joined.method, "n_records": joined.n_records, "n_joined": joined.n_joined, "requests": rows}


def _own_ids(result: Path, n: int) -> list[str] | None:
    """The `x-request-id` of each row, of the plan that the result holds."""
    try:
        prefix = Result.load(result).plan["load"].get("request_id_prefix")
    except (UsageError, KeyError, AttributeError):
        return None
    return None if prefix is None else [f"{prefix}{row}" for row in range(n)]


def _spans(record: Mapping[str, Any]) -> dict[str, float | None]:
    context, generation = record.get("ctx_perf_metrics", record), record.get("gen_perf_metrics")
    begin, end = _timing(context), _timing(generation if generation is not None else context)
    found: dict[str, float | None] = {}
    for name, (first, last) in _SPANS.items():
        a = (end if name == "decode_ms" else begin).get(first)
        b = (end if name == "decode_ms" else begin).get(last)
        found[name] = 1000.0 * (b - a) if a is not None and b is not None and b >= a else None
    return found


def _timing(holder: Any) -> dict[str, float]:
    for key in ("perf_metrics", "timing_metrics"):
        holder = holder.get(key) if isinstance(holder, Mapping) else None
    if not isinstance(holder, Mapping):
        return {}
    return {name: float(value) for name, value in holder.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0}  # fmt: skip
