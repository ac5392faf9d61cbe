"""The option names of TensorRT-LLM's `LLM` by release, for runs where the package itself is not there to be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown

__all__ = ["CHECKED_RELEASES", "KnownOptions", "known_of_release"]


@dataclass(frozen=True)
class KnownOptions:
    """Which options a release takes.

    Args:
        source: whose they are, for messages: ``tensorrt_llm 1.2.0``, ``release 1.2``.
        top: names at the top level; empty: not known, so nothing is held against them.
        nested: option -> names inside of it, where they are known.
    """

    source: str
    top: frozenset[str] = frozenset()
    nested: Mapping[str, frozenset[str]] = field(default_factory=dict)


CHECKED_RELEASES = ("1.0", "1.1", "1.2", "1.3")
"""Releases whose names are held here: those of about 1.2. Earlier ones take a subset, which is not known exactly."""

# The committed names first, then those that upstream still marks as beta, prototype or deprecated.
_TOP = frozenset(
    [
        "model",
        "tokenizer",
        "tokenizer_mode",
        "skip_tokenizer_init",
        "trust_remote_code",
        "tensor_parallel_size",
        "dtype",
        "revision",
        "tokenizer_revision",
        "pipeline_parallel_size",
        "context_parallel_size",
        "moe_tensor_parallel_size",
        "moe_expert_parallel_size",
        "enable_lora",
        "lora_config",
        "batched_logits_processor",
        "guided_decoding_backend",
        "speculative_config",
        "max_batch_size",
        "max_input_len",
        "max_seq_len",
        "max_beam_width",
        "max_num_tokens",
        "load_format",
        "enable_tqdm",
        "enable_chunked_prefill",
        "kv_cache_config",
        "stream_interval",
        "gpus_per_node",
        "moe_cluster_parallel_size",
        "enable_attention_dp",
        "attention_dp_config",
        "cp_config",
        "cuda_graph_config",
        "disable_overlap_scheduler",
        "attn_backend",
        "moe_config",
        "sampler_type",
        "print_iter_log",
        "garbage_collection_gen0_threshold",
        "enable_layerwise_nvtx_marker",
        "allreduce_strategy",
        "enable_autotuner",
        "torch_compile_config",
        "enable_iter_perf_stats",
        "enable_iter_req_stats",
        "iter_stats_max_iterations",
        "request_stats_max_iterations",
        "return_perf_metrics",
        "perf_metrics_max_requests",
        "batch_wait_timeout_ms",
        "batch_wait_timeout_iters",
        "batch_wait_max_tokens_ratio",
        "num_postprocess_workers",
        "postprocess_tokenizer_dir",
        "scheduler_config",
        "orchestrator_type",
        "backend",
        "build_config",
        "decoding_config",
        "peft_cache_config",
        "cache_transceiver_config",
        "gather_generation_logits",
        "reasoning_parser",
        "fail_fast_on_attention_window_too_large",
        "checkpoint_loader",
        "checkpoint_format",
        "mm_encoder_only",
        "enable_min_latency",
        "force_dynamic_quantization",
        "kv_connector_config",
        "enable_lm_head_tp_in_adp",
        "sparse_attention_config",
        "ray_worker_extension_cls",
    ]
)
# Only what is known to be inside; a name that is missing here may exist, so these lists serve renaming, and finding
# what is nearly one of them.
_NESTED = {
    "cuda_graph_config": frozenset({"enable_padding", "max_batch_size", "batch_sizes"}),
    "kv_cache_config": frozenset(
        {
            "enable_block_reuse",
            "max_tokens",
            "max_attention_window",
            "sink_token_length",
            "free_gpu_memory_fraction",
            "host_cache_size",
            "onboard_blocks",
            "cross_kv_cache_fraction",
            "secondary_offload_min_priority",
            "event_buffer_max_size",
            "enable_partial_reuse",
            "copy_on_partial_reuse",
            "use_uvm",
            "dtype",
            "mamba_ssm_cache_dtype",
            "tokens_per_block",
        }
    ),
    "moe_config": frozenset({"backend", "max_num_tokens", "load_balancer"}),
}


def known_of_release(release: str) -> KnownOptions:
    """The names of a declared release.

    Args:
        release: as users write it: ``1.2``, ``1.2.0``, ``1.3.0rc4``. Before 1.0 nothing is known.

    Raises:
        UsageError: not a release number.
    """
    parts = release.split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1][:1].isdigit()):
        raise UsageError(f"a release of TensorRT-LLM must look like 1.2 or 1.3.0rc4, got {shown(release)}")
    known = int(parts[0]) >= 1
    return KnownOptions(f"release {release}", _TOP if known else frozenset(), _NESTED if known else {})
