"""``[BENCHMARK]`` lines in a log of ``benchmark.py``, and its CSV: one result a case."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from tokenclock.readers.foreign import ForeignResult, measured, measured_ms, whole

__all__ = ["MARK", "is_csv", "results_of_csv", "results_of_log"]

MARK = "[BENCHMARK] "
_LATENCIES = {
    "latency(ms)": "latency.mean",
    "percentile95(ms)": "latency.p95",
    "percentile99(ms)": "latency.p99",
    "generation_time(ms)": "generation.mean",
}
_RATES = {"tokens_per_sec": "output_throughput", "generation_tokens_per_second": "decode_throughput"}
_ASKED = {
    "batch_size": "batch_size",
    "input_length": "isl",
    "output_length": "osl",
    "world_size": "world_size",
}
_SAME = ("precision", "quantization", "gpu_weights_percent")


def is_csv(first_line: str) -> bool:
    """Whether a CSV that begins so is of benchmark.py."""
    keys = first_line.split(",")
    return "model_name" in keys and "latency(ms)" in keys


def results_of_log(lines: Iterable[str], path: Path) -> list[ForeignResult]:
    """The cases that were measured; a line may have anything before its mark, such as a time stamp."""
    found = []
    for line in lines:
        _, mark, rest = line.partition(MARK)
        words = rest.split()
        if mark and len(words) >= 2:
            found.append(_case(dict(zip(words[::2], words[1::2], strict=False)), path))
    return [case for case in found if case.values]


def results_of_csv(lines: Iterable[str], path: Path) -> list[ForeignResult]:
    """The cases; the header may come again and again, as the original adds it at each start."""
    head: list[str] = []
    found = []
    for cells in csv.reader(lines):
        if "model_name" in cells:
            head = cells
        elif cells and head:
            found.append(_case(dict(zip(head, cells, strict=False)), path))
    return [case for case in found if case.values]


def _case(row: Mapping[str, str], path: Path) -> ForeignResult:
    values = {name: measured_ms(name, row.get(key)) for key, name in _LATENCIES.items()}
    values |= {name: measured(name, row.get(key)) for key, name in _RATES.items()}
    asked = {name: whole(row.get(key)) for key, name in _ASKED.items()}
    return ForeignResult(
        path=path,
        tool="benchmark",
        model=row.get("model_name", ""),
        created=row.get("created", ""),
        asked={key: value for key, value in asked.items() if value is not None}
        | {key: row[key] for key in _SAME if row.get(key) not in (None, "", "None")},
        values={key: value for key, value in values.items() if value is not None},
        percentile_rule="floor",
    )
