"""Options of `trtllm-serve` checked before anything starts: names, types, and what overrides what."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenclock.plan_checks import shown
from tokenclock.runtime.llm_api_keys import known_of_release
from tokenclock.runtime.llm_api_options import check_options
from tokenclock.sweep.commands import Settled

__all__ = ["OptionReport", "check_server_options"]

_FLAGS: dict[str, str] = {  # flag of trtllm-serve -> option that the file would set; empty: no such option
    "tokenizer": "tokenizer", "host": "", "port": "", "backend": "backend", "log_level": "",
    "max_beam_width": "max_beam_width", "max_batch_size": "max_batch_size", "max_num_tokens": "max_num_tokens",
    "max_seq_len": "max_seq_len", "tp_size": "tensor_parallel_size", "pp_size": "pipeline_parallel_size",
    "ep_size": "moe_expert_parallel_size", "cluster_size": "moe_cluster_parallel_size",
    "gpus_per_node": "gpus_per_node", "kv_cache_free_gpu_memory_fraction": "kv_cache_config.free_gpu_memory_fraction",
    "num_postprocess_workers": "num_postprocess_workers", "trust_remote_code": "trust_remote_code",
    "extra_llm_api_options": "", "config": "", "reasoning_parser": "reasoning_parser", "tool_parser": "",
    "metadata_server_config_file": "", "server_role": "", "fail_fast_on_attention_window_too_large":
    "fail_fast_on_attention_window_too_large", "cp_size": "context_parallel_size", "otlp_traces_endpoint": "",
    "chat_template": "", "revision": "revision", "custom_tokenizer": "",
}  # fmt: skip
_SWITCHES = ("trust_remote_code", "fail_fast_on_attention_window_too_large")
_WHOLE = frozenset({
    "max_batch_size", "max_num_tokens", "max_seq_len", "max_input_len", "max_beam_width", "tensor_parallel_size",
    "pipeline_parallel_size", "context_parallel_size", "moe_expert_parallel_size", "moe_tensor_parallel_size",
    "gpus_per_node", "num_postprocess_workers", "stream_interval", "perf_metrics_max_requests",
    "iter_stats_max_iterations", "garbage_collection_gen0_threshold", "cuda_graph_config.max_batch_size",
})  # fmt: skip
_BOOLEAN = frozenset({
    "trust_remote_code", "skip_tokenizer_init", "enable_lora", "enable_chunked_prefill", "enable_attention_dp",
    "disable_overlap_scheduler", "print_iter_log", "enable_iter_perf_stats", "enable_iter_req_stats",
    "return_perf_metrics", "enable_autotuner", "enable_layerwise_nvtx_marker", "cuda_graph_config.enable_padding",
    "kv_cache_config.enable_block_reuse",
})  # fmt: skip
_NUMBER = frozenset({"kv_cache_config.free_gpu_memory_fraction", "batch_wait_timeout_ms"})
_MAPPING = frozenset({
    "kv_cache_config", "cuda_graph_config", "moe_config", "scheduler_config", "attention_dp_config",
    "speculative_config", "lora_config", "torch_compile_config", "build_config",
})  # fmt: skip


@dataclass
class OptionReport:
    """What was found about one server.

    Args:
        effective: option -> value that the server will have, of the flags and the file.
        notes: what overrides what.
        warnings: renamed, unknown and doubtful options.
    """

    effective: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_server_options(settled: Settled, release: str) -> OptionReport | None:
    """Check a command that starts trtllm-serve, directly or behind a launcher or a container; None for any other.

    Args:
        settled: the server's command and options.
        release: of TensorRT-LLM, as declared in the YAML.

    Raises:
        UsageError: an option of a wrong form, or no release number.
    """
    words = _serve_words(settled.command)
    if words is None and settled.options is None:
        return None
    report = OptionReport()
    flags = _read_flags(words or [], report)
    options: Mapping[str, Any] = {}
    if settled.options is not None:
        checked = check_options(settled.options, known_of_release(release))
        options = checked.options
        report.warnings += checked.warnings
        _check_types(options, report)
    flat = _flat(options)
    for flag, value in flags.items():
        option = _FLAGS.get(flag, "")
        if not option:
            continue
        section = option.partition(".")[0]
        if option in flat:
            report.notes.append(
                f"--{flag} {value} is overridden by {option}: {shown(flat[option])} of the options file"
            )
        elif section != option and section in options:
            report.warnings.append(
                f"--{flag} {value} may be lost: the options file has {section}, which some releases put in place of "
                f"all of it; write {option.partition('.')[2]} there too"
            )
            report.effective[option] = value
        else:
            report.effective[option] = value
    report.effective |= flat
    _check_graphs(report)
    return report


def _serve_words(command: str | Sequence[str] | None) -> list[str] | None:
    """The words after `trtllm-serve`, wherever in the command it stands."""
    if command is None:
        return None
    text = command if isinstance(command, str) else shlex.join(command)
    found = re.search(r"(?:^|[\s'\"/])trtllm-serve(?=\s)(.*)", text.replace("\\\n", " "), re.DOTALL)
    if found is None:
        return None
    rest = re.split(r"[;&|\n]", found[1])[0].replace('"', " ").replace("'", " ")
    words = rest.split()
    return words[1:] if words[:1] == ["serve"] else words


def _read_flags(words: Sequence[str], report: OptionReport) -> dict[str, Any]:
    flags: dict[str, Any] = {}
    for index, word in enumerate(words):
        if not word.startswith("--"):
            continue
        raw, equals, value = word.partition("=")
        name = raw[2:].replace("-", "_")
        if name not in _FLAGS:
            near = difflib.get_close_matches(name, _FLAGS, n=1, cutoff=0.7)
            hint = f" (did you mean --{near[0]}?)" if near else ""
            report.warnings.append(f"{raw} is no flag of trtllm-serve that is known here{hint}; it is passed on")
            continue
        following = words[index + 1] if index + 1 < len(words) and not words[index + 1].startswith("--") else None
        flags[name] = True if name in _SWITCHES else _typed(value if equals else following)
    return flags


def _typed(text: str | None) -> Any:
    for convert in (int, float):
        try:
            return convert(text)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
    return text


def _check_types(options: Mapping[str, Any], report: OptionReport) -> None:
    for name, value in {**options, **_flat(options)}.items():
        if value is None:
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        for names, ok, expected in (
            (_WHOLE, number and isinstance(value, int), "a whole number"),
            (_BOOLEAN, isinstance(value, bool), "true or false"),
            (_NUMBER, number, "a number"),
            (_MAPPING, isinstance(value, Mapping), "a section with names and values"),
        ):
            if name in names and not ok:
                report.warnings.append(f"{name} should be {expected}, got {shown(value)}")


def _check_graphs(report: OptionReport) -> None:
    """A graph for fewer requests than the server batches leaves the largest batches without one, and the reverse."""
    limit = report.effective.get("max_batch_size")
    graphs = report.effective.get("cuda_graph_config.max_batch_size")
    sizes = report.effective.get("cuda_graph_config.batch_sizes")
    name = "cuda_graph_config.max_batch_size"
    if graphs is None and isinstance(sizes, (list, tuple)) and sizes:
        name, graphs = "the largest of cuda_graph_config.batch_sizes", max(sizes)
    if isinstance(limit, int) and isinstance(graphs, int) and limit != graphs:
        effect = "larger batches run without a graph" if graphs < limit else "graphs are kept that no batch can use"
        report.warnings.append(f"{name} is {graphs} and the server's max_batch_size {limit}: {effect}; make them equal")


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options by dotted names; an empty section stays, as a switch."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
