"""The metric types of the performance-test flow: their columns in its CSV, and where our JSON has each.

Unit, direction and the gate's thresholds are in one table, `baselines.thresholds.TEST_METRICS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenclock.baselines.thresholds import TEST_METRICS
from tokenclock.units import NS_PER_MS

__all__ = [
    "BENCHMARK",
    "BUILD",
    "METRICS",
    "SERVING",
    "THROUGHPUT",
    "Metric",
    "case_status",
    "metric_type_of",
    "metric_types",
    "too_few_samples",
    "unit_in_result",
    "value_in_result",
]

BUILD, THROUGHPUT, BENCHMARK, SERVING = "build", "throughput", "benchmark", "serving"
"""Kinds of command that measure."""

_BYTES_PER_MIB = 1 << 20


@dataclass(frozen=True)
class Metric:
    """One metric type.

    Args:
        metric_type: as in the flow's rows, such as ``INFERENCE_TIME``.
        threshold, absolute_threshold: of the flow's CSV columns; a negative relative one says that higher is better.
            Total and user throughput have the sign that fits them; the flow marked them lower-is-better. The gate does
            not read them.
        is_optional: not every target has such a value: its row is `skipped` where it is not there, not `failed`.
    """

    metric_type: str
    threshold: float
    absolute_threshold: float
    is_optional: bool = False

    @property
    def unit(self) -> str:
        """Of its values, the flow's."""
        return TEST_METRICS[self.metric_type][0]

    @property
    def better(self) -> str:
        """``lower`` or ``higher``."""
        return TEST_METRICS[self.metric_type][1].better


def _latency(name: str) -> Metric:
    return Metric(name, 0.1, 50.0)


def _rate(name: str) -> Metric:
    return Metric(name, -0.1, 10.0)


def _memory(name: str, threshold: float, absolute_threshold: float) -> Metric:
    return Metric(name, threshold, absolute_threshold, is_optional=True)


_PREFIXES = ("", "MEDIAN_", "P99_")
_SERVING_LATENCIES = {
    "FIRST_TOKEN_TIME": "ttft",
    "OUTPUT_TOKEN_TIME": "tpot",
    "INTER_TOKEN_TIME": "itl",
    "INFERENCE_TIME": "e2el",
}

METRICS: Mapping[str, Metric] = {
    metric.metric_type: metric
    for metric in (
        Metric("BUILD_TIME", 0.1, 30.0, is_optional=True),
        *(_latency(prefix + name) for name in _SERVING_LATENCIES for prefix in _PREFIXES),
        _latency("SEQ_LATENCY"),
        _rate("TOKEN_THROUGHPUT"),
        _rate("SEQ_THROUGHPUT"),
        _rate("TOTAL_TOKEN_THROUGHPUT"),
        _rate("USER_THROUGHPUT"),
        _memory("INFERENCE_PEAK_GPU_MEMORY", 0.1, 0.1),
        _memory("CONTEXT_GPU_MEMORY", 0.1, 50.0),
        _memory("ENGINE_SIZE", 0.3, 100.0),
        _memory("BUILD_PEAK_CPU_MEMORY", 0.1, 100.0),
        _memory("BUILD_PEAK_GPU_MEMORY", 0.1, 100.0),
        Metric("KV_CACHE_SIZE", -0.1, 50.0, is_optional=True),
    )
}
"""Metric type -> what there is to know of it."""


def metric_type_of(name: str) -> str:
    """The metric type of a key of `Outcome.repeats`, which may name the lengths or the client after it in brackets."""
    return name.partition("[")[0]


def metric_types(kind: str, *, streaming: bool) -> tuple[str, ...]:
    """The metric types of one command, in the order of their rows.

    Args:
        kind: BUILD, THROUGHPUT, BENCHMARK or SERVING.
        streaming: single tokens are stamped.
    """
    if kind == BUILD:
        return ("BUILD_TIME",)
    if kind == THROUGHPUT:
        tokens = ("FIRST_TOKEN_TIME", "OUTPUT_TOKEN_TIME") if streaming else ()
        return ("INFERENCE_TIME", "TOKEN_THROUGHPUT", "SEQ_THROUGHPUT", *tokens, "KV_CACHE_SIZE")
    if kind == BENCHMARK:
        first = ("FIRST_TOKEN_TIME",) if streaming else ()
        return ("INFERENCE_TIME", "TOKEN_THROUGHPUT", *first, "INFERENCE_PEAK_GPU_MEMORY", "CONTEXT_GPU_MEMORY")
    rates = ("SEQ_THROUGHPUT", "TOKEN_THROUGHPUT", "TOTAL_TOKEN_THROUGHPUT", "USER_THROUGHPUT")
    return (*rates, *(prefix + name for name in _SERVING_LATENCIES for prefix in _PREFIXES))


_THROUGHPUT_KEYS: Mapping[str, tuple[str, str]] = {
    "INFERENCE_TIME": ("performance", "total_latency_ms"),
    "TOKEN_THROUGHPUT": ("performance", "output_throughput_per_gpu_tok_s"),
    "SEQ_THROUGHPUT": ("performance", "request_throughput_req_s"),
    "FIRST_TOKEN_TIME": ("streaming_metrics", "avg_ttft_ms"),
    "OUTPUT_TOKEN_TIME": ("streaming_metrics", "avg_tpot_ms"),
    "KV_CACHE_SIZE": ("log", "kv_cache_size_gib"),
}
_SERVING_RATES = {
    "SEQ_THROUGHPUT": "request_throughput",
    "TOKEN_THROUGHPUT": "output_throughput",
    "TOTAL_TOKEN_THROUGHPUT": "total_token_throughput",
    "USER_THROUGHPUT": "user_throughput",
}
_STATISTIC = {"": "mean", "MEDIAN_": "median", "P99_": "p99"}


def value_in_result(
    kind: str, metric_type: str, content: Mapping[str, Any], *, batch_size: int, lengths: tuple[int, int | None]
) -> float | None:
    """A metric's value in the JSON file that a command wrote, in the metric's unit; None where it has none.

    Args:
        kind: of the command.
        metric_type: which.
        content: of the file.
        batch_size, lengths: which case of a BENCHMARK's.
    """
    if kind == THROUGHPUT:
        found = _number(content, *_THROUGHPUT_KEYS.get(metric_type, ()))
        if found is None and metric_type == "TOKEN_THROUGHPUT":  # no GPUs to divide by
            return _number(content, "performance", "system_output_throughput_tok_s")
        return found
    if kind == SERVING:
        if metric_type in _SERVING_RATES:
            return _number(content, _SERVING_RATES[metric_type])
        for name, tag in _SERVING_LATENCIES.items():
            if metric_type.endswith(name) and (prefix := metric_type.removesuffix(name)) in _STATISTIC:
                return _number(content, f"{_STATISTIC[prefix]}_{tag}_ms")
    if kind == BENCHMARK:
        result = content.get("tokenclock", content)
        lines = content.get("benchmark", ())
        for index, case in enumerate(result.get("cases", ())):
            if (case["batch_size"], case["input_len"], case["output_len"]) == (batch_size, *lengths):
                return _of_case(metric_type, case, result, lines[index] if index < len(lines) else {})
    return None


def too_few_samples(kind: str, metric_type: str, content: Mapping[str, Any]) -> str:
    """Why a percentile is not one to be judged, as its own run marks it; empty where its samples are enough.

    Args: as of `value_in_result`.
    """
    if kind != SERVING or not metric_type.startswith("P99_"):
        return ""
    tag = _SERVING_LATENCIES.get(metric_type.removeprefix("P99_"))
    for mark in content.get("tokenclock", content).get("quality", {}).get("too_few_samples", ()):
        if (mark["metric"], mark["percentile"]) == (tag, 99):
            return f"{mark['n']} samples, P99 needs {mark['needed']}"
    return ""


def unit_in_result(kind: str, metric_type: str, content: Mapping[str, Any]) -> str:
    """The unit of what `value_in_result` finds there: a token throughput is per GPU where GPUs are known."""
    is_per_gpu = kind == THROUGHPUT and metric_type == "TOKEN_THROUGHPUT"
    has_gpus = _number(content, *_THROUGHPUT_KEYS["TOKEN_THROUGHPUT"]) is not None
    return METRICS[metric_type].unit + ("/GPU" if is_per_gpu and has_gpus else "")


def case_status(content: Mapping[str, Any], batch_size: int, lengths: tuple[int, int | None]) -> tuple[str, str]:
    """``measured``, ``skipped``, ``failed`` or ``not_run`` of a case in a BENCHMARK's result, and the reason.

    Empty texts where the result has no such case.
    """
    for case in content.get("tokenclock", content).get("cases", ()):
        if (case["batch_size"], case["input_len"], case["output_len"]) == (batch_size, *lengths):
            return str(case["status"]), str(case["reason"] or "")
    return "", ""


def _of_case(
    metric_type: str, case: Mapping[str, Any], result: Mapping[str, Any], line: Mapping[str, Any]
) -> float | None:
    if case["status"] != "measured":
        return None
    if metric_type == "TOKEN_THROUGHPUT":
        return _number(case, "throughput", "output_throughput")
    if metric_type == "INFERENCE_PEAK_GPU_MEMORY":
        return _number(line, "gpu_peak_mem(gb)")
    if metric_type == "CONTEXT_GPU_MEMORY":
        n_bytes = _number(result, "model", "execution_context_bytes")
        return None if n_bytes is None else n_bytes / _BYTES_PER_MIB
    tag = {"INFERENCE_TIME": "latency", "FIRST_TOKEN_TIME": "ttft"}.get(metric_type, "")
    mean_ns = _number(case, "latencies", tag, "mean")
    return None if mean_ns is None else mean_ns / NS_PER_MS


def _number(content: Any, *keys: str) -> float | None:
    for key in keys or ("",):
        content = content.get(key) if isinstance(content, Mapping) else None
    return float(content) if isinstance(content, (int, float)) and not isinstance(content, bool) else None
