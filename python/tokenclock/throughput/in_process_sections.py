"""What a runtime in this process says of itself in trtllm-bench's report: the sections `engine` and `world_info`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenclock.plan_throughput import BenchRuntime, ThroughputPlan
from tokenclock.runtime.in_flight import InFlight

__all__ = ["engine_sections"]

_BACKENDS = {"trtllm-llm": "Pytorch", "trtllm-engine": "TRT"}


def engine_sections(
    plan: ThroughputPlan, runtime: BenchRuntime, target: InFlight
) -> tuple[Mapping[str, Any], Mapping[str, Any], dict[str, str]]:
    """`engine` and `world_info`, and why what is None there is so, by ``section.key``."""
    model, details = target.model, target.model.details
    is_trtllm, is_engine = target.name in _BACKENDS, target.name == "trtllm-engine"
    effective = details.get("options", {})
    cache = effective.get("kv_cache_config", {})
    engine = {
        "model": plan.model,
        "model_path": (plan.model_path or plan.model) if is_engine else runtime.directory,
        "engine_dir": runtime.directory if is_engine else None,
        "version": details.get("tensorrt_llm"),
        "backend": _BACKENDS.get(target.name, target.name),
        "dtype": model.precision,
        "kv_cache_dtype": details.get("kv_cache_dtype") if is_engine else cache.get("dtype") if is_trtllm else None,
        "quantization": model.quantization,
    }
    if is_engine:
        engine |= {"max_input_length": details["max_input_len"], "max_sequence_length": target.limits.max_seq_len}
    has_gpu = is_trtllm or not str(details.get("device") or "cpu").startswith("cpu")
    world = {
        "tp_size": (plan.tp or 1) if has_gpu else plan.tp,
        "pp_size": (plan.pp or 1) if has_gpu else plan.pp,
        "ep_size": runtime.ep,
        "world_size": plan.world_size if has_gpu else None,
        "max_batch_size": effective.get("max_batch_size") if is_trtllm else details.get("inter_threads"),
        "max_num_tokens": effective.get("max_num_tokens") if is_trtllm else None,
        "scheduling_policy": runtime.scheduler_policy if is_trtllm else None,
        "kv_cache_percentage": cache.get("free_gpu_memory_fraction") if is_trtllm else None,
    }
    return engine, world, _why_missing(target, is_trtllm=is_trtllm, is_engine=is_engine)


def _why_missing(target: InFlight, *, is_trtllm: bool, is_engine: bool) -> dict[str, str]:
    details = target.model.details
    other = f"the runtime is {target.name}" + (f" {details['version']}" if "version" in details else "")
    unset = "left to the engine"
    cache = "as the engine was built: it names no data type of its own" if is_engine else unset
    return {
        "engine.engine_dir": "no TensorRT engine was run",
        "engine.version": other,
        "engine.kv_cache_dtype": cache if is_trtllm else f"{other}, which does not tell",
        "engine.quantization": "the weights are not quantised",
        "engine.max_input_length": "the engine's config does not say",
        "engine.max_sequence_length": "the engine's config does not say",
        "world_info.ep_size": "not asked for",
        **{f"world_info.{key}": "the model ran on the CPU" for key in ("tp_size", "pp_size", "world_size")},
        "performance.output_throughput_per_gpu_tok_s": "the model ran on the CPU",
        "world_info.max_batch_size": unset,
        "world_info.max_num_tokens": unset if is_trtllm else f"{other}, which has no scheduler",
        "world_info.scheduling_policy": unset if is_trtllm else f"{other}, which has no scheduler",
        "world_info.kv_cache_percentage": unset if is_trtllm else f"{other}, which reserves no share of memory",
        "world_info.issue_rate": "fewer than two requests were sent",
    }
