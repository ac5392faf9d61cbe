"""Metric values in the logs of external tools, by metric type; what a log lacks is named, never filled in."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["LABELS", "LogValues", "read_values"]

_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)

# metric type -> what stands before its number, as it is in the log
_BENCH: Mapping[str, str] = {
    "INFERENCE_TIME": "Total Latency (ms):",
    "TOKEN_THROUGHPUT": "GPU Output Throughput (tps/gpu):",
    "SEQ_THROUGHPUT": "Request Throughput (req/sec):",
    "FIRST_TOKEN_TIME": "Average time-to-first-token [TTFT] (ms):",
    "OUTPUT_TOKEN_TIME": "Average time-per-output-token [TPOT] (ms):",
}
_LATENCIES = {
    "FIRST_TOKEN_TIME": "TTFT",
    "OUTPUT_TOKEN_TIME": "TPOT",
    "INTER_TOKEN_TIME": "ITL",
    "INFERENCE_TIME": "E2EL",
}
_SERVING: Mapping[str, str] = {
    "SEQ_THROUGHPUT": "Request throughput (req/s):",
    "TOKEN_THROUGHPUT": "Output token throughput (tok/s):",
    "TOTAL_TOKEN_THROUGHPUT": "Total Token throughput (tok/s):",
    "USER_THROUGHPUT": "User throughput (tok/s):",
    **{
        prefix + name: f"{statistic} {tag} (ms):"
        for name, tag in _LATENCIES.items()
        for prefix, statistic in (("", "Mean"), ("MEDIAN_", "Median"), ("P99_", "P99"))
    },
}
LABELS: Mapping[str, Mapping[str, str]] = {"throughput": _BENCH, "serving": _SERVING}
"""Kind of command -> metric type -> the label of its line."""

# metric type -> names of the value in a [BENCHMARK] line, the first that is there counts
_BENCHMARK_KEYS: Mapping[str, tuple[str, ...]] = {
    "INFERENCE_TIME": ("total_latency(ms)", "latency(ms)"),
    "FIRST_TOKEN_TIME": ("avg_time_to_first_token(ms)",),
    "SEQ_LATENCY": ("avg_sequence_latency(ms)",),
    "SEQ_THROUGHPUT": ("seq_throughput(seq/sec)",),
    "TOKEN_THROUGHPUT": ("token_throughput(token/sec)", "tokensPerSec", "tokens_per_sec"),
    "INFERENCE_PEAK_GPU_MEMORY": ("gpu_peak_mem(gb)",),
}
# of any log; the largest of several: engines allocate for a trial first
_ANYWHERE: Mapping[str, tuple[re.Pattern[str], ...]] = {
    name: tuple(re.compile(pattern.replace("X", r"(\S+)", 1)) for pattern in patterns)
    for name, patterns in {
        "BUILD_TIME": (r"Engine generation completed in X seconds",),
        "KV_CACHE_SIZE": (
            r"Allocated X GiB for max tokens in paged KV cache",
            r"Final KV cache size after resize: X GiB",
        ),
        "CONTEXT_GPU_MEMORY": (r"Allocated X MiB for execution context memory",),
        "ENGINE_SIZE": (r"Total engine size per GPU is X MiB",),
    }.items()
}


@dataclass(frozen=True)
class LogValues:
    """What a log says.

    Args:
        values: metric type -> value in the metric's unit, finite.
        missing: metric type -> why there is no value: the line that was looked for, or what stood in its place.
    """

    values: Mapping[str, float]
    missing: Mapping[str, str]


def read_values(lines: Iterable[str], kind: str, wanted: Sequence[str]) -> LogValues:
    """Read a log of any text; never raises for what it holds.

    Of a line that comes several times the last one counts, as the measured run comes last; of sizes the largest.
    Scientific notation and thousands separators are read; ``nan`` and infinities are no value.

    Args:
        lines: of the log.
        kind: ``build``, ``throughput``, ``benchmark`` or ``serving``.
        wanted: metric types.
    """
    values: dict[str, float] = {}
    missing = {name: _looked_for(kind, name) for name in wanted}
    for line in lines:
        for name in wanted:
            text = _found(line, kind, name)
            if text is None:
                continue
            value = _finite(text)
            if value is None:
                values.pop(name, None)
                missing[name] = f"{_label(kind, name)} is {text}, which is no number"
            else:
                values[name] = max(value, values[name]) if name in _ANYWHERE and name in values else value
    return LogValues(values, {name: why for name, why in missing.items() if name not in values})


def _found(line: str, kind: str, name: str) -> str | None:
    """The text of the value in this line, None where the line is another's."""
    if name in _ANYWHERE:
        hits = [hit[1] for pattern in _ANYWHERE[name] if (hit := pattern.search(line))]
        return hits[-1] if hits else None
    if kind == "benchmark":
        if "[BENCHMARK]" not in line:
            return None
        for key in _BENCHMARK_KEYS.get(name, ()):
            if hits := re.findall(rf"(?<!\S){re.escape(key)}\s+(\S+)", line):
                return str(hits[-1])
        return None
    label = LABELS.get(kind, {}).get(name)
    if label is None or (at := line.rfind(label)) < 0:
        return None
    if name != "TOKEN_THROUGHPUT" and at > 0 and line[at - 1].isalnum():
        return None  # the end of another label
    words = line[at + len(label) :].split()
    return words[0] if words else "empty"


def _finite(text: str) -> float | None:
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text.replace(",", ""))
    return value if math.isfinite(value) else None


def _label(kind: str, name: str) -> str:
    if kind == "benchmark" and name in _BENCHMARK_KEYS:
        return f"{_BENCHMARK_KEYS[name][-1]} of the [BENCHMARK] line"
    return f"the line {LABELS.get(kind, {}).get(name, name)!r}"


def _looked_for(kind: str, name: str) -> str:
    if name in _ANYWHERE:
        return f"the log has no line that tells {name}"
    return f"the log lacks {_label(kind, name)}"
