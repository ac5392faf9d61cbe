"""The JSON and CSV exports of genai-perf, and the JSON of AIPerf, which has the same metric objects."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.readers.foreign import ForeignResult, measured, number, whole
from tokenclock.units import NS_PER_MS, NS_PER_S, NS_PER_US

__all__ = ["is_csv", "recognises", "result_of", "result_of_csv"]

# their tag -> ours. Their "inter token latency" is one value per request, so it is our TPOT; AIPerf's list of gaps
# between chunks is our ITL.
_TAGS = {
    "time_to_first_token": "ttft",
    "inter_token_latency": "tpot",
    "inter_chunk_latency": "itl",
    "request_latency": "e2el",
    "output_token_throughput": "output_throughput",
    "total_token_throughput": "total_throughput",
    "request_throughput": "request_throughput",
    "request_goodput": "goodput",
    "goodput": "goodput",
}
_LATENCIES = {"ttft", "tpot", "itl", "e2el"}
_NS = {"ns": 1, "us": NS_PER_US, "ms": NS_PER_MS, "s": NS_PER_S, "sec": NS_PER_S, "seconds": NS_PER_S}
_PER_S = {"requests/sec", "tokens/sec", "per sec", "req/s", "tok/s"}


def recognises(data: Mapping[str, Any]) -> bool:
    """Whether a JSON object is such an export."""
    latency = data.get("request_latency")
    return isinstance(latency, dict) and "unit" in latency


def result_of(data: Mapping[str, Any], path: Path) -> ForeignResult:
    """The run.

    Raises:
        UsageError: a metric in a unit that its quantity cannot have.
    """
    values: dict[str, float] = {}
    for name, tag in _TAGS.items():
        metric = data.get(name)
        if isinstance(metric, dict):
            values |= _values(tag, metric, str(metric.get("unit", "")), path)
    is_aiperf = "aiperf_version" in data or path.stem.endswith("aiperf")
    asked = _asked(data.get("input_config"))
    asked |= {key: _average(data.get(name)) for key, name in _LENGTHS.items()}
    model = _found(data.get("input_config"), "model_names", "model")
    if isinstance(model, (list, tuple)):
        model = model[0] if model else ""
    failed = _average(data.get("error_request_count"))
    return ForeignResult(
        path=path,
        tool="aiperf" if is_aiperf else "genai-perf",
        model=str(model or ""),
        created=str(data.get("start_time") or ""),
        asked={key: value for key, value in asked.items() if value is not None},
        values=values,
        n_requests=whole(_average(data.get("request_count"))),
        n_failed=None if failed is None else int(failed),
    )


_LENGTHS = {"isl": "input_sequence_length", "osl": "output_sequence_length"}


def _values(tag: str, metric: Mapping[str, Any], unit: str, path: Path) -> dict[str, float]:
    unit = unit.strip().lower()
    factors = _NS if tag in _LATENCIES else dict.fromkeys(_PER_S, 1)
    if unit not in factors:
        raise UsageError(f"{path}: expected {tag} in {' or '.join(sorted(factors))}, got the unit {unit or 'none'}")
    found = {}
    for statistic, value in metric.items():
        if tag not in _LATENCIES:
            name = tag if statistic == "avg" else ""
        elif statistic == "avg" or re.fullmatch(r"p\d+(\.\d+)?", statistic):
            name = f"{tag}.{'mean' if statistic == 'avg' else statistic}"
        else:
            name = ""
        known = measured(name, value, factors[unit]) if name else None
        if known is not None:
            found[name] = known
    return found


def _average(metric: Any) -> float | None:
    return number(metric.get("avg")) if isinstance(metric, dict) else None


def _asked(config: Any) -> dict[str, Any]:
    return {
        "concurrency": whole(_found(config, "concurrency")),
        "request_rate": number(_found(config, "request_rate")),
        "streaming": _found(config, "streaming"),
    }


def _found(config: Any, *names: str) -> Any:
    """The first value of one of these keys, at any depth: each version nests them elsewhere."""
    level = [config]
    while level:
        for value in level:
            for name in names:
                if isinstance(value, dict) and isinstance(value.get(name), (str, int, float, bool, list)):
                    return value[name]
        level = [inner for value in level if isinstance(value, dict) for inner in value.values()]
    return None


def is_csv(first_line: str) -> bool:
    """Whether a CSV that begins so is such an export."""
    return first_line.lower().startswith("metric,avg,")


def result_of_csv(lines: Iterable[str], path: Path) -> ForeignResult:
    """The run; a CSV export does not say what was asked.

    Raises:
        UsageError: a metric in a unit that its quantity cannot have.
    """
    head: list[str] = []
    values: dict[str, float] = {}
    lengths: dict[str, float | None] = {}
    count = None
    for cells in csv.reader(lines):
        if not cells:
            continue
        if cells[0] == "Metric":
            head = cells
            continue
        if "GPU" in head:
            break
        match = re.fullmatch(r"(.*?) \((.*)\)", cells[0])
        name, unit = match.groups() if match else (cells[0], "")
        tag = _TAGS.get(name.strip().lower().replace(" ", "_"))
        statistics = dict(zip(head[1:], cells[1:], strict=False))
        if "Value" in statistics:
            statistics = {"avg": statistics["Value"]}
        if tag is not None:
            values |= _values(tag, statistics, unit, path)
        elif name.lower() == "request count":
            count = whole(statistics.get("avg"))
        else:
            key = {"input sequence length": "isl", "output sequence length": "osl"}.get(name.lower())
            lengths |= {key: number(statistics.get("avg"))} if key else {}
    asked = {key: value for key, value in lengths.items() if value is not None}
    return ForeignResult(path=path, tool="genai-perf", asked=asked, values=values, n_requests=count)
