"""The JSON of TensorRT-LLM's ``benchmark_serving``, of ``vllm bench serve`` and of SGLang's ``bench_serving``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenclock.readers.foreign import ForeignResult, measured, measured_ms, number, whole

__all__ = ["recognises", "result_of"]

_TAGS = ("ttft", "tpot", "itl", "e2el")
_OTHER_NAMES = {"e2el": "e2e_latency"}  # SGLang's
_RATES = {
    "request_throughput": ("request_throughput",),
    "output_throughput": ("output_throughput",),
    "total_throughput": ("total_token_throughput", "total_throughput"),
    "user_throughput": ("user_throughput",),
    "goodput": ("request_goodput:", "request_goodput"),
}


def recognises(data: Mapping[str, Any]) -> bool:
    """Whether a JSON object is such a file."""
    return "completed" in data and "request_throughput" in data and "duration" in data


def result_of(data: Mapping[str, Any], path: Path) -> ForeignResult:
    """The run. Metrics that were not among ``--percentile-metrics`` are absent, as are those of 0 ms throughout
    (the originals print 0 for a metric without samples, and a sentinel below 0 where nothing streamed)."""
    values: dict[str, float] = {}
    for tag in _TAGS:
        values |= _latency(data, tag, tag) or _latency(data, tag, _OTHER_NAMES.get(tag, tag))
    for tag, keys in _RATES.items():
        found = next((rate for key in keys if (rate := measured(tag, data.get(key))) is not None), None)
        if found is not None:
            values[tag] = found
    completed = whole(data.get("completed"))
    prompts, failed = whole(data.get("num_prompts")), whole(data.get("failed"))
    asked = {
        "concurrency": whole(data.get("max_concurrency")),
        "request_rate": data.get("request_rate"),
        "num_prompts": prompts,
        "isl": _mean(data.get("total_input_tokens"), completed),
        "osl": _mean(data.get("total_output_tokens"), completed),
    }
    return ForeignResult(
        path=path,
        tool="vllm" if "endpoint_type" in data or "max_concurrent_requests" in data else "benchmark_serving",
        label=str(data.get("label") or ""),
        model=str(data.get("model_id") or ""),
        created=str(data.get("date") or ""),
        asked={key: value for key, value in asked.items() if value is not None},
        values=values,
        n_requests=completed,
        n_failed=failed if failed is not None else _difference(prompts, completed),
    )


def _latency(data: Mapping[str, Any], tag: str, name: str) -> dict[str, float]:
    told = {}
    for key, value in data.items():
        statistic, _, rest = key.partition("_")
        if rest != f"{name}_ms":
            continue
        if statistic == "median":
            told[f"{tag}.p50"] = value
        elif statistic == "mean" or (statistic.startswith("p") and number(statistic[1:]) is not None):
            told[f"{tag}.{statistic}"] = value
    known = [number(value) for value in told.values()]
    if all(value is not None and value <= 0 for value in known):
        return {}
    found = {key: measured_ms(key, value) for key, value in told.items()}
    return {key: value for key, value in found.items() if value is not None}


def _mean(total: Any, n: int | None) -> float | None:
    found = number(total)
    return None if found is None or not n else found / n


def _difference(prompts: int | None, completed: int | None) -> int | None:
    return None if prompts is None or completed is None else prompts - completed
