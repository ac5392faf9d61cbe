"""The values of one case as TensorRT-LLM's benchmark.py names, computes, rounds and orders them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenclock import units
from tokenclock.metrics.offline_case import CaseNumbers

__all__ = ["MISSING", "CaseFacts", "benchmark_keys", "benchmark_values"]

MISSING = "n/a"

_KEYS = (
    "model_name", "world_size", "num_heads", "num_kv_heads", "num_layers", "hidden_size", "vocab_size", "precision",
    "batch_size", "gpu_weights_percent", "input_length", "output_length", "gpu_peak_mem(gb)", "build_time(s)",
    "tokens_per_sec", "percentile95(ms)", "percentile99(ms)", "latency(ms)", "compute_cap", "quantization",
)  # fmt: skip
_GENERATION_KEYS = ("generation_time(ms)", "total_generated_tokens", "generation_tokens_per_second")
_MEASURED = ("tokens_per_sec", "percentile95(ms)", "percentile99(ms)", "latency(ms)", *_GENERATION_KEYS)


@dataclass(frozen=True)
class CaseFacts:
    """What a line says of a case beside its numbers; None where it is not known.

    Args:
        family: dec, enc or enc-dec.
        world_size: ranks that work on one batch or, as replicas, each on its own.
        model: ``num_heads`` ... ``precision``, ``quantization``, of the whole model.
        batch_size, input_len, output_len, gpu_weights_percent: of the case.
        gpu_peak_bytes: the most that any rank's GPU held; None without NVML.
        compute_cap: such as ``sm90``.
    """

    family: str
    world_size: int
    model: Mapping[str, Any]
    batch_size: int
    input_len: int
    output_len: int | None
    gpu_weights_percent: float
    gpu_peak_bytes: int | None = None
    compute_cap: str | None = None


def benchmark_keys(family: str) -> tuple[str, ...]:
    """The keys of a family's lines, in their order."""
    return (*_KEYS, *_GENERATION_KEYS) if family == "dec" else _KEYS


def benchmark_values(facts: CaseFacts, numbers: CaseNumbers | None) -> dict[str, Any]:
    """key -> value for `benchmark_keys(facts.family)`; ``n/a`` for what was not measured, or all of it where numbers
    is None. What a model's configuration does not say is None, as in the original."""
    model = facts.model
    peak = facts.gpu_peak_bytes
    values: dict[str, Any] = {
        "model_name": facts.family,
        "world_size": facts.world_size,
        **{name: model.get(name) for name in ("num_heads", "num_kv_heads", "num_layers", "hidden_size", "vocab_size")},
        "precision": model.get("precision"),
        "batch_size": facts.batch_size,
        "gpu_weights_percent": facts.gpu_weights_percent,
        "input_length": facts.input_len,
        "output_length": MISSING if facts.output_len is None else facts.output_len,
        "gpu_peak_mem(gb)": MISSING if peak is None else round(peak / 2**30, 3),
        "build_time(s)": 0 if facts.family == "enc-dec" else None,
        "compute_cap": facts.compute_cap or MISSING,
        "quantization": model.get("quantization"),
        **dict.fromkeys(_MEASURED, MISSING),
    }
    if numbers is not None:
        values |= _measured(facts, numbers)
    return {key: values[key] for key in benchmark_keys(facts.family)}


def _measured(facts: CaseFacts, numbers: CaseNumbers) -> dict[str, Any]:
    """The original's statistics: CUDA events where the runtime has them, else the host's clock."""
    latency = (numbers.series.get("device_latency") or numbers.series["latency"]).distribution
    mean_ns = latency.mean or 0.0
    mean_ms = round(units.ns_to_ms(mean_ns), 3)
    tokens = numbers.lengths.tokens_per_iteration
    if tokens is None and facts.output_len is not None:
        tokens = facts.batch_size * facts.output_len
    # as the original does, by the rounded latency; what rounds to nothing is taken as it is
    per_ms = mean_ms or units.ns_to_ms(mean_ns)
    return {
        "latency(ms)": mean_ms,
        **{f"percentile{p}(ms)": _ms(latency.percentile(p, "floor")) for p in (95, 99)},
        "tokens_per_sec": MISSING if tokens is None or not per_ms else round(tokens / (per_ms / 1000), 2),
        **_generation(numbers),
    }


def _generation(numbers: CaseNumbers) -> dict[str, Any]:
    generation = numbers.series.get("generation")
    tokens = numbers.generated_after_first
    if generation is None or tokens is None:
        return dict.fromkeys(_GENERATION_KEYS, MISSING)
    mean_ns = generation.distribution.mean or 0.0
    return {
        "generation_time(ms)": round(units.ns_to_ms(mean_ns), 3),
        "total_generated_tokens": tokens,
        "generation_tokens_per_second": round(units.per_s(tokens, mean_ns), 3) if mean_ns else MISSING,
    }


def _ms(value_ns: float | None) -> Any:
    return MISSING if value_ns is None else round(units.ns_to_ms(value_ns), 3)
