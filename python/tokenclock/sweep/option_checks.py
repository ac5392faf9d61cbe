"""Options of `trtllm-serve` checked before anything starts: names, types, and what overrides what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenclock.plan_checks import shown
from tokenclock.runtime.llm_api_keys import known_of_release
from tokenclock.runtime.llm_api_options import check_options
from tokenclock.sweep.commands import Settled, port_of
from tokenclock.sweep.serve_flags import FLAGS, read_flags, serve_words

__all__ = ["OptionReport", "check_server_options"]

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
_SIZES = "cuda_graph_config.batch_sizes"


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


def check_server_options(settled: Settled, release: str, url: str | None = None) -> OptionReport | None:
    """Check a command that starts trtllm-serve, directly or behind a launcher or a container; None for any other.

    Args:
        settled: the server's command and options.
        release: of TensorRT-LLM, as declared in the YAML.
        url: where the server is to answer; None: its port is not looked at.

    Raises:
        UsageError: an option of a wrong form, or no release number.
    """
    words = serve_words(settled.command)
    if words is None and settled.options is None:
        return None
    report = OptionReport()
    flags = read_flags(words or [], report.warnings)
    port = flags.get("port")
    if url is not None and isinstance(port, int) and port != port_of(url):
        report.warnings.append(
            f"--port {port} is not the port of url {url}: nothing would answer there; make them equal"
        )
    options: Mapping[str, Any] = {}
    if settled.options is not None:
        checked = check_options(settled.options, known_of_release(release))
        options = checked.options
        report.warnings += checked.warnings
        _check_types(options, report)
    flat = _flat(options)
    for flag, value in flags.items():
        option = FLAGS.get(flag, "")
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


def _check_types(options: Mapping[str, Any], report: OptionReport) -> None:
    for name, value in {**options, **_flat(options)}.items():
        if value is None:
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        for names, ok, expected in (
            (_WHOLE, number and isinstance(value, int) and value >= 0, "a whole number >= 0"),
            (_BOOLEAN, isinstance(value, bool), "true or false"),
            (_NUMBER, number, "a number"),
            (_MAPPING, isinstance(value, Mapping), "a section with names and values"),
            ((_SIZES,), _are_sizes(value), "a list of whole numbers >= 1"),
        ):
            if name in names and not ok:
                quoted = isinstance(value, str) and (_is_number(value) or value in ("true", "false"))
                text = f"the text {value!r}; write it without quotes" if quoted else shown(value)
                report.warnings.append(f"{name} should be {expected}, got {text}")


def _are_sizes(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in value
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_graphs(report: OptionReport) -> None:
    """A graph for fewer requests than the server batches leaves the largest batches without one, and the reverse."""
    limit = report.effective.get("max_batch_size")
    graphs = report.effective.get("cuda_graph_config.max_batch_size")
    sizes = report.effective.get(_SIZES)
    name = "cuda_graph_config.max_batch_size"
    if graphs is None and sizes and _are_sizes(sizes):
        name, graphs = f"the largest of {_SIZES}", max(sizes)
    if isinstance(limit, int) and isinstance(graphs, int) and graphs > 0 and limit != graphs:
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
