"""The log of ``trtllm-bench``: label -> value, by the report's keys; a line that is not there is named, not guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["BenchLog", "read_log"]

_NUMBER = r"([-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*%?\s*$"

# section -> label -> key; numbers
_NUMBERS: dict[str, dict[str, str]] = {
    "world_info": {
        "TP Size:": "tp_size",
        "PP Size:": "pp_size",
        "EP Size:": "ep_size",
        "Max Runtime Batch Size:": "max_batch_size",
        "Max Runtime Tokens:": "max_num_tokens",
        "KV Memory Percentage:": "kv_cache_percentage",
        "Issue Rate (req/sec):": "issue_rate",
    },
    "request_info": {
        "Number of requests:": "num_requests",
        "Number of concurrent requests:": "avg_num_concurrent_requests",
        "Average Input Length (tokens):": "avg_input_length",
        "Average Output Length (tokens):": "avg_output_length",
    },
    "performance": {
        "Request Throughput (req/sec):": "request_throughput_req_s",
        "Total Output Throughput (tokens/sec):": "system_output_throughput_tok_s",
        "Total Token Throughput (tokens/sec):": "system_total_throughput_tok_s",
        "Total Latency (ms):": "total_latency_ms",
        "Average request latency (ms):": "avg_request_latency_ms",
        "Per User Output Throughput [w/ ctx] (tps/user):": "output_throughput_per_user_tok_s",
        "Per GPU Output Throughput (tps/gpu):": "output_throughput_per_gpu_tok_s",
    },
    "streaming_metrics": {
        "Average time-to-first-token [TTFT] (ms):": "avg_ttft_ms",
        "Average time-per-output-token [TPOT] (ms):": "avg_tpot_ms",
        "Per User Output Speed (tps/user):": "token_output_speed_tok_s",
    },
    "dataset": {"Number of Sequences:": "num_requests"},
}
_TEXTS: dict[str, dict[str, str]] = {
    "engine": {
        "Model:": "model",
        "Model Path:": "model_path",
        "Engine Directory:": "engine_dir",
        "TensorRT LLM Version:": "version",
        "Dtype:": "dtype",
        "KV Cache Dtype:": "kv_cache_dtype",
        "Quantization:": "quantization",
    },
    "world_info": {"Scheduling Policy:": "scheduling_policy"},
    "dataset": {"Dataset Path:": "dataset_path"},
}
_BLOCKS = {
    "Latency": ("performance", "request_latency_percentiles_ms"),
    "TPOT": ("streaming_metrics", "tpot_percentiles"),
    "TTFT": ("streaming_metrics", "ttft_percentiles"),
    "GTPS": ("streaming_metrics", "gen_tps_percentiles"),
}
_STATISTICS = ("p50", "p90", "p95", "p99", "minimum", "maximum", "average")
_BLOCK_LINE = re.compile(
    rf"\[({'|'.join(_BLOCKS)})\]\s+({'|'.join(name.upper() for name in _STATISTICS)})\s*:\s*{_NUMBER}"
)
_KV_CACHE = (
    re.compile(r"Allocated ([\d.]+) GiB for max tokens in paged KV cache"),
    re.compile(r"Final KV cache size after resize: ([\d.]+) GiB"),
)
_BUILD = re.compile(r"Engine generation completed in ([\d.]+) seconds")
_OPTIONAL = {"engine.engine_dir", "world_info.ep_size"}


@dataclass(frozen=True)
class BenchLog:
    """What a log says.

    Args:
        sections: of the report, by its keys, numbers in the report's units; only what the log has.
        missing: ``section.key`` of each line that such a log has and this one lacks, or has without a number.
        kv_cache_gib: the largest that was allocated; None: the log does not say.
        build_s: of the engine; None likewise.
    """

    sections: Mapping[str, Mapping[str, Any]]
    missing: tuple[str, ...]
    kv_cache_gib: float | None = None
    build_s: float | None = None

    @property
    def is_report(self) -> bool:
        """Whether the log holds the one line that every report has."""
        return "total_latency_ms" in self.sections.get("performance", {})


def read_log(lines: Iterable[str]) -> BenchLog:
    """Read a log; of a line that comes again the last one holds, as the measured run comes last."""
    sections: dict[str, dict[str, Any]] = {}
    kv_cache: list[float] = []
    build_s: float | None = None
    for line in lines:
        _take(line.rstrip("\r\n"), sections)
        kv_cache += [float(hit[1]) for pattern in _KV_CACHE if (hit := pattern.search(line))]
        if hit := _BUILD.search(line):
            build_s = float(hit[1])
    return BenchLog(sections, _missing(sections), max(kv_cache, default=None), build_s)


def _take(line: str, sections: dict[str, dict[str, Any]]) -> None:
    if hit := _BLOCK_LINE.search(line):
        section, key = _BLOCKS[hit[1]]
        sections.setdefault(section, {}).setdefault(key, {})[hit[2].lower()] = _number(hit[3])
        return
    for section, labels in _NUMBERS.items():
        for label, key in labels.items():
            if label in line and (hit := re.search(re.escape(label) + r"\s*" + _NUMBER, line)):
                sections.setdefault(section, {})[key] = _scaled(key, _number(hit[1]))
                return
    for section, labels in _TEXTS.items():
        for label, key in labels.items():
            hit = re.search(rf"(?:^|\]\s+|\s){re.escape(label)}\s*(\S.*?)\s*$", line)
            if hit is not None and not _is_longer(label, line):
                sections.setdefault(section, {})[key] = None if hit[1] == "None" else hit[1]
                return


def _is_longer(label: str, line: str) -> bool:
    """Whether the line has a label that ends in this one, such as `KV Cache Dtype:` and `Dtype:`."""
    others = (other for labels in _TEXTS.values() for other in labels if other != label and other.endswith(label))
    return any(other in line for other in others)


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _scaled(key: str, value: float) -> float | int:
    if key == "kv_cache_percentage":
        return value / 100
    counts = ("num_requests", "tp_size", "pp_size", "ep_size", "max_batch_size", "max_num_tokens")
    return int(value) if key in counts and math.isfinite(value) else value


def _missing(sections: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    tables = [*_TEXTS.items(), *_NUMBERS.items()]
    wanted = [*((section, key) for section, keys in tables for key in keys.values()), *_BLOCKS.values()]
    streams = "streaming_metrics" in sections
    lacking = [
        f"{section}.{key}"
        for section, key in wanted
        if key not in sections.get(section, {}) and (streams or section != "streaming_metrics")
    ]
    return tuple(name for name in dict.fromkeys(lacking) if name not in _OPTIONAL)
