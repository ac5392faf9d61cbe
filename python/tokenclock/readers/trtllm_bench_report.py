"""The ``--report_json`` of ``trtllm-bench throughput`` and ``latency``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenclock.readers.foreign import ForeignResult, measured, measured_ms, number, whole

__all__ = ["recognises", "result_of"]

_RATES = {
    "request_throughput": "request_throughput_req_s",
    "output_throughput": "system_output_throughput_tok_s",
    "total_throughput": "system_total_throughput_tok_s",
    "user_throughput": "output_throughput_per_user_tok_s",
}
_STATISTICS = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "average": "mean"}


def recognises(data: Mapping[str, Any]) -> bool:
    """Whether a JSON object is such a report."""
    return {"engine", "performance", "request_info"} <= set(data)


def result_of(data: Mapping[str, Any], path: Path) -> ForeignResult:
    """The run. Its percentiles are the value at index ``floor(n * p)``; ITL is not among its numbers."""
    performance, streaming = _part(data, "performance"), _part(data, "streaming_metrics")
    request, world = _part(data, "request_info"), _part(data, "world_info")
    values = {tag: value for tag, key in _RATES.items() if (value := measured(tag, performance.get(key))) is not None}
    values |= _latency("e2el", performance.get("request_latency_percentiles_ms"))
    average = measured_ms("e2el.mean", performance.get("avg_request_latency_ms"))
    if average is not None:
        values.setdefault("e2el.mean", average)
    for tag in ("ttft", "tpot"):
        values |= _latency(tag, streaming.get(f"{tag}_percentiles"))
        average = measured_ms(f"{tag}.mean", streaming.get(f"avg_{tag}_ms"))
        if average is not None:
            values.setdefault(f"{tag}.mean", average)
    engine = _part(data, "engine")
    asked = {
        "num_prompts": whole(request.get("num_requests")),
        "isl": number(request.get("avg_input_length")),
        "osl": number(request.get("avg_output_length")),
        "world_size": whole(world.get("world_size")),
        "max_batch_size": whole(world.get("max_batch_size")),
        "streaming": bool(streaming),
    }
    return ForeignResult(
        path=path,
        tool="trtllm-bench",
        model=str(engine.get("model") or ""),
        asked={key: value for key, value in asked.items() if value is not None},
        values=values,
        n_requests=whole(request.get("num_requests")),
        percentile_rule="floor",
    )


def _part(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _latency(tag: str, statistics: Any) -> dict[str, float]:
    if not isinstance(statistics, dict):
        return {}
    found = {f"{tag}.{name}": measured_ms(f"{tag}.{name}", statistics.get(key)) for key, name in _STATISTICS.items()}
    return {key: value for key, value in found.items() if value is not None}
