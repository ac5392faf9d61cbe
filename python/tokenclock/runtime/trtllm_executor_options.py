"""What the C++ executor of TensorRT-LLM 0.12 to 1.2 is made with, and how it chooses tokens, from a user's wishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.runtime import trtllm_package
from tokenclock.runtime.engine_config import EngineDirectory
from tokenclock.runtime.in_flight import InFlightOptions, Sampling

__all__ = ["executor_config", "sampling_config"]

_KV_CACHE_SHARE = 0.90  # of the free GPU memory, as the original takes
_MOST_ITERATIONS = 1_000_000  # kept by the executor until they are read
# Options of SamplingParams that the executor has under the same name.
_SAMPLING = (
    "top_k",
    "top_p",
    "top_p_min",
    "top_p_reset_ids",
    "top_p_decay",
    "seed",
    "temperature",
    "min_tokens",
    "beam_search_diversity_rate",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "length_penalty",
    "early_stopping",
    "no_repeat_ngram_size",
    "min_p",
)


def executor_config(
    bindings: Any, engine: EngineDirectory, asked: InFlightOptions, beam_width: int
) -> tuple[dict[str, Any], Any]:
    """The options in effect, JSON-ready, and the `ExecutorConfig` made of them.

    Prompts are cut into chunks where that is asked for, or where the engine was built for it and nothing is said.

    Raises:
        UsageError: more is asked for than the engine was built for, or chunks of an engine that has none.
        MeasurementError: the installed release's executor does not take the options.
    """
    wishes = {
        "--max_batch_size": (asked.max_batch_size, "max_batch_size"),
        "--max_num_tokens": (asked.max_num_tokens, "max_num_tokens"),
        "--max_seq_len": (asked.max_seq_len, "max_seq_len"),
        "--beam_width": (beam_width, "max_beam_width"),
    }
    for flag, (value, name) in wishes.items():
        limit = engine.main.limit(name)
        if value is not None and limit is not None and value > limit:
            raise UsageError(f"{flag} must be at most {limit}, what the engine was built for, got {value}")
    has_chunks = bool((engine.main.build.get("plugin_config") or {}).get("use_paged_context_fmha"))
    if asked.chunked_context and not has_chunks:
        raise UsageError(
            "--enable_chunked_context needs an engine built with use_paged_context_fmha; this one was not: leave it out"
        )
    effective: dict[str, Any] = {
        "enable_chunked_context": has_chunks and asked.chunked_context is not False,
        "kv_cache_config": {
            "enable_block_reuse": False,
            "free_gpu_memory_fraction": asked.kv_cache_share or _KV_CACHE_SHARE,
        },
        "max_beam_width": beam_width,
    }
    for name, value in (("max_batch_size", asked.max_batch_size), ("max_num_tokens", asked.max_num_tokens)):
        if value is not None:
            effective[name] = value
    if asked.scheduler_policy is not None:
        effective["scheduler_config"] = {"capacity_scheduler_policy": asked.scheduler_policy.upper()}
    if asked.iterations:
        effective["iter_stats_max_iterations"] = _MOST_ITERATIONS
    try:
        return effective, _made(bindings, engine, effective)
    except (TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise MeasurementError(f"the executor of this release of TensorRT-LLM takes other options: {reason}") from error


def _made(bindings: Any, engine: EngineDirectory, effective: dict[str, Any]) -> Any:
    given = dict(effective)
    given["kv_cache_config"] = bindings.KvCacheConfig(**given["kv_cache_config"])
    if "scheduler_config" in given:
        policy = given["scheduler_config"]["capacity_scheduler_policy"]
        given["scheduler_config"] = bindings.SchedulerConfig(
            capacity_scheduler_policy=getattr(bindings.CapacitySchedulerPolicy, policy)
        )
    tp, pp = engine.main.ranks
    if tp * pp > 1:
        given["parallel_config"] = bindings.ParallelConfig(
            communication_type=bindings.CommunicationType.MPI,
            communication_mode=bindings.CommunicationMode.ORCHESTRATOR,
            orchestrator_config=bindings.OrchestratorConfig(
                is_orchestrator=True, worker_executable_path=str(_executor_worker())
            ),
        )
    return bindings.ExecutorConfig(**given)


def _executor_worker() -> Path:
    """The program that TensorRT-LLM runs for each rank of an engine for several GPUs."""
    package = trtllm_package.import_trtllm("trtllm-engine")
    return Path(str(package.__file__)).parent / "bin" / "executorWorker"


def sampling_config(bindings: Any, sampling: Sampling) -> Any:
    """How tokens are chosen, the same object for every request: nothing of it changes.

    Raises:
        UsageError: an option that the executor, or the installed release's, does not have.
    """
    options = dict(sampling.options)
    unknown = sorted(set(options) - set(_SAMPLING))
    if unknown:
        raise UsageError(
            f"--sampler_options: --runtime trtllm-engine knows {', '.join(_SAMPLING)}, not {unknown[0]}; leave it out"
        )
    try:
        return bindings.SamplingConfig(beam_width=sampling.beam_width, **options)
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"--sampler_options: the installed TensorRT-LLM does not take them: {reason}") from error
