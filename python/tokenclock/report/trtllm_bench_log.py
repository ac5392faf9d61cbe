"""The report that `trtllm-bench` logs: same sections, labels and decimals; a line without a value is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["render"]

_RULE = "=" * 59
_THIN = "-" * 59
_NAMES = ("minimum", "maximum", "average", "p50", "p90", "p95", "p99")
_SCIENTIFIC_FROM = 100_000  # of the data set's table


def render(face: Mapping[str, Any]) -> str:
    """The report as text, ending in a newline. `face`: of `metrics.trtllm_bench_face`."""
    return "\n".join(_lines(face["sections"])) + "\n"


def _lines(sections: Mapping[str, Any]) -> Iterator[str]:
    yield from _engine(sections["engine"])
    yield from _request(sections["request_info"])
    yield from _world(sections["world_info"])
    yield from _performance(sections["performance"], sections.get("streaming_metrics"))
    yield from _dataset(sections["dataset"])


def _box(title: str) -> Iterator[str]:
    yield from (_RULE, f"= {title}", _RULE)


def _labelled(width: int, *rows: tuple[str, str | None]) -> Iterator[str]:
    for label, text in rows:
        if text is not None:
            yield f"{label:<{width}}{text}"


def _fixed(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _engine(found: Mapping[str, Any]) -> Iterator[str]:
    backend = str(found.get("backend"))
    yield from _box("ENGINE DETAILS" if backend == "TRT" else f"{backend.upper()} BACKEND")
    rows = [
        ("Model:", "model"),
        ("Model Path:", "model_path"),
        ("Engine Directory:", "engine_dir"),
        ("TensorRT LLM Version:", "version"),
        ("Dtype:", "dtype"),
        ("KV Cache Dtype:", "kv_cache_dtype"),
        ("Quantization:", "quantization"),
        ("Max Input Length:", "max_input_length"),
        ("Max Sequence Length:", "max_sequence_length"),
    ]
    yield from _labelled(24, *((label, _text(found.get(key))) for label, key in rows))
    yield ""


def _request(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _box("REQUEST DETAILS")
    yield from _labelled(
        32,
        ("Number of requests:", _text(found["num_requests"])),
        ("Number of concurrent requests:", _fixed(found["avg_num_concurrent_requests"])),
        ("Average Input Length (tokens):", _fixed(found["avg_input_length"])),
        ("Average Output Length (tokens):", _fixed(found["avg_output_length"])),
    )


def _world(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _box("WORLD + RUNTIME INFORMATION")
    share, rate = found.get("kv_cache_percentage"), found.get("issue_rate")
    yield from _labelled(
        24,
        ("TP Size:", _text(found.get("tp_size"))),
        ("PP Size:", _text(found.get("pp_size"))),
        ("EP Size:", _text(found.get("ep_size"))),
        ("Max Runtime Batch Size:", _text(found.get("max_batch_size"))),
        ("Max Runtime Tokens:", _text(found.get("max_num_tokens"))),
        ("Scheduling Policy:", _text(found.get("scheduling_policy"))),
        ("KV Memory Percentage:", None if share is None else f"{share:.2%}"),
        ("Issue Rate (req/sec):", None if rate is None else f"{rate:.4E}"),
    )
    yield ""


def _performance(found: Mapping[str, Any], streaming: Mapping[str, Any] | None) -> Iterator[str]:
    yield from _box("PERFORMANCE OVERVIEW")
    yield from _labelled(
        50,
        ("Request Throughput (req/sec):", _fixed(found["request_throughput_req_s"])),
        ("Total Output Throughput (tokens/sec):", _fixed(found["system_output_throughput_tok_s"])),
        ("Total Token Throughput (tokens/sec):", _fixed(found["system_total_throughput_tok_s"])),
        ("Total Latency (ms):", _fixed(found["total_latency_ms"])),
        ("Average request latency (ms):", _fixed(found["avg_request_latency_ms"])),
        ("Per User Output Throughput [w/ ctx] (tps/user):", _fixed(found["output_throughput_per_user_tok_s"])),
        ("Per GPU Output Throughput (tps/gpu):", _fixed(found["output_throughput_per_gpu_tok_s"])),
    )
    if streaming is not None:
        yield from _labelled(
            50,
            ("Average time-to-first-token [TTFT] (ms):", _fixed(streaming["avg_ttft_ms"])),
            ("Average time-per-output-token [TPOT] (ms):", _fixed(streaming["avg_tpot_ms"])),
            ("Per User Output Speed (tps/user):", _fixed(streaming["token_output_speed_tok_s"])),
        )
        blocks = (
            ("TPOT", "-- Per-Request Time-per-Output-Token [TPOT] Breakdown (ms)", "tpot_percentiles"),
            ("TTFT", "-- Per-Request Time-to-First-Token [TTFT] Breakdown (ms)", "ttft_percentiles"),
            ("GTPS", "-- Per-Request Generation Throughput [GTPS] Breakdown (tps/user)", "gen_tps_percentiles"),
        )
        for tag, heading, key in blocks:
            yield from _block(tag, heading, streaming[key], _NAMES)
    percentiles = found["request_latency_percentiles_ms"]
    yield from _block("Latency", "-- Request Latency Breakdown (ms)", percentiles, tuple(percentiles or ()))
    yield ""


def _block(tag: str, heading: str, found: Mapping[str, float] | None, names: tuple[str, ...]) -> Iterator[str]:
    if found is None:
        return
    yield ""
    yield f"{heading} ".ljust(59, "-")
    yield ""
    for name in names:
        yield f"[{tag}] {name.upper():<7}: {found[name]:.4f}"


def _dataset(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _box("DATASET DETAILS")
    yield from _labelled(
        22, ("Dataset Path:", found["dataset_path"]), ("Number of Sequences:", _text(found["num_requests"]))
    )
    columns = [found[f"{name}_stats"] for name in ("isl", "osl", "seq_len")]
    if None in columns:
        return
    yield ""
    yield "-- Percentiles statistics ".ljust(59, "-")
    yield ""
    yield "        Input              Output           Seq. Length"
    yield _THIN
    rows = {"MIN": "minimum", "MAX": "maximum", "AVG": "average"} | {name.upper(): name for name in _NAMES[3:]}
    for label, key in rows.items():
        yield f"{label}: " + "  ".join(f"{_cell(column[key]):>16}" for column in columns)
    yield _RULE


def _cell(value: float) -> str:
    return f"{value:9.4E}" if value >= _SCIENTIFIC_FROM else f"{value:9.4f}"
