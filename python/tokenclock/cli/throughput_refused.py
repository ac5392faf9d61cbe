"""Flags of trtllm-bench that this command refuses by name, and those that change nothing: each is said."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.plan_throughput import ThroughputPlan

__all__ = ["idle_flags", "refuse_flags"]

_REFUSED: dict[str, str] = {
    "--custom_module_dirs": "no modules of yours are imported here: set PYTHONPATH, or run it by --external",
    "--no_skip_tokenizer_init": "the engine is fed token ids: rows of text are encoded before the run (--tokenizer)",
    "--modality": "rows with media_paths say it themselves, and need a server (--base-url)",
    "--image_data_format": "pictures go to a server as they are (--base-url)",
    "--data_device": "pictures go to a server as they are (--base-url)",
    "--max_input_len": "prompt lengths are counted, never assumed: leave it out",
    "--cluster_size": "use --extra_llm_api_options with moe_cluster_parallel_size",
    "--medusa_choices": "use --extra_llm_api_options with speculative_config",
    "--telemetry": "tokenclock sends nothing anywhere: leave it out",
}
_OF_PICTURES: dict[str, str] = {  # what the original wants for rows with pictures: with a server there is nothing to do
    "no_skip_tokenizer_init": "the server has its own tokenizer",
    "modality": "rows with media_paths say it themselves",
    "image_data_format": "pictures go to the server as they are",
    "data_device": "pictures go to the server as they are",
    "max_input_len": "prompt lengths are counted, never assumed",
}
_DEFAULTS = {"device": "auto", "strict_options": False}  # of the others None
_LATENCY_HAS_NOT: dict[str, str] = {
    "--streaming": "latency always streams: leave it out",
    "--eos_id": "no token ends an answer: leave it out, or use throughput",
    "--max_batch_size": "it is 1: leave it out, or use throughput",
    "--max_num_tokens": "it follows from the data set: leave it out, or use throughput",
    "--scheduler_policy": "it is guaranteed_no_evict: leave it out, or use throughput",
    "--enable_chunked_context": "latency has no chunking: leave it out, or use throughput",
    "--disable_chunked_context": "latency has no chunking: leave it out",
}


def refuse_flags(command: str, arguments: Sequence[str]) -> None:
    """Raise UsageError for the first flag that the original has and this command refuses.

    What the original wants for rows with pictures is refused without a server alone, where such rows cannot run.
    """
    names = [argument.partition("=")[0] for argument in arguments]
    of_pictures = {f"--{name}" for name in _OF_PICTURES} if "--base-url" in names else set()
    refused = _REFUSED | (_LATENCY_HAS_NOT if command == "latency" else {})
    for flag in names:
        if flag in refused and flag not in of_pictures:
            raise UsageError(f"{flag} is refused: {refused[flag]}")


def idle_flags(args: argparse.Namespace, plan: ThroughputPlan) -> list[str]:
    """One line for each flag that was given and is of no use in this plan."""
    lines = [
        f"--{name} changes nothing: {why}"
        for name, why in (
            ("workspace", "nothing is built here"),
            ("log_level", "lines on stderr are few; --strict makes of warnings an exit code"),
            ("revision", "nothing is ever downloaded"),
            ("target_input_len", "no limit is tuned by guesses: give --max_batch_size and --max_num_tokens"),
            ("target_output_len", "no limit is tuned by guesses: give --max_batch_size and --max_num_tokens"),
        )
        if getattr(args, name) is not None
    ]
    lines += [f"--{name} changes nothing: {why}" for name, why in _OF_PICTURES.items() if getattr(args, name)]
    if plan.server is not None:
        own: tuple[str, ...] = ("backend", "engine_dir", "extra_llm_api_options", "max_batch_size", "max_num_tokens")
        own += (
            "max_seq_len",
            "kv_cache_free_gpu_mem_fraction",
            "ep",
            "dtype",
            "threads",
            "device",
            "strict_options",
            "gpu_sampling_interval",
            "chunked_context",
            "scheduler_policy",
        )
        for name in own:
            if getattr(args, name, None) not in (None, _DEFAULTS.get(name)):
                flag = ("en" if args.chunked_context else "dis") + "able_" + name if name == "chunked_context" else name
                flag = flag.replace("strict_", "strict-")
                lines.append(f"--{flag} changes nothing with --base-url: the server was started with its own")
    else:
        for name in ("served_model_name", "header", "cache_bust", "unix_socket", "insecure", "cacert", "cert", "key"):
            if getattr(args, name):
                lines.append(f"--{name.replace('_', '-')} without --base-url changes nothing")
        for name, default in (("request_timeout", 21600.0), ("no_progress_timeout", 0.0), ("silence_timeout", 900.0)):
            if getattr(args, name) != default:
                lines.append(f"--{name.replace('_', '-')} without --base-url changes nothing")
        if args.strict_options and args.extra_llm_api_options is None:
            lines.append("--strict-options without --extra_llm_api_options changes nothing")
        if args.runtime is not None and args.backend is not None:
            lines.append(f"--backend {args.backend} changes nothing: --runtime {args.runtime} is named")
        if args.engine_dir is not None and args.model_path is not None:
            lines.append("--engine_dir is loaded; --model_path is asked for a tokenizer alone")
    if plan.output.report_json is None and not plan.output.save_columns:
        lines.append("--no-save-columns without --report_json changes nothing")
    return lines
