"""The console table of ``benchmark_serving``: same labels, widths and decimals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokenclock.report.format import fixed, heading, row, rule
from tokenclock.report.serving_sections import (
    energy_section,
    probe_section,
    spec_decode_section,
    time_breakdown_section,
)
from tokenclock.result import Result

__all__ = ["render"]

_HEADINGS = {
    "ttft": "Time to First Token",
    "tpot": "Time per Output Token (excl. 1st token)",
    "itl": "Inter-token Latency",
    "e2el": "End-to-end Latency",
}
_NEEDS_STREAM = ("ttft", "tpot", "itl")


def render(result: Result, *, full: bool = False) -> str:
    """The table as text, ending in a newline.

    Args:
        result: of a serving run.
        full: the rows of the newest original too: total, failed, standard deviation, minimum, maximum, energy.
    """
    return "\n".join([*_lines(result.faces["serving"], full)]) + "\n"


def _lines(face: Mapping[str, Any], full: bool) -> Iterator[str]:
    values = face["values"]
    yield heading(" Serving Benchmark Result ", "=")
    if full:
        yield row("Total requests:", values["completed"] + values["failed"])
    yield row("Successful requests:", values["completed"])
    if full:
        yield row("Failed requests:", values["failed"])
    yield row("Benchmark duration (s):", fixed(values["duration"]))
    yield row("Total input tokens:", fixed(values["total_input_tokens"], 0))
    yield row("Total generated tokens:", values["total_output_tokens"])
    yield row("Request throughput (req/s):", fixed(values["request_throughput"]))
    if face["goodput_asked"]:
        yield row("Request goodput (req/s):", fixed(values["request_goodput"]))
    yield row("Output token throughput (tok/s):", fixed(values["output_throughput"]))
    yield row("Total Token throughput (tok/s):", fixed(values["total_token_throughput"]))
    yield row("User throughput (tok/s):", fixed(values["user_throughput"]))
    yield from _iteration_lines(values["avg_decoded_tokens_per_iter"], full)
    yield from probe_section(values)
    for tag, title in _HEADINGS.items():
        if tag in face["metrics"] and (face["streaming"] or tag not in _NEEDS_STREAM):
            yield heading(title)
            yield from _latency_lines(tag, values, face["percentiles"], full)
    yield from spec_decode_section(values)
    if full:
        yield from energy_section(values)
    yield from time_breakdown_section(values)
    yield rule()


def _iteration_lines(found: Mapping[str, Any] | None, full: bool) -> Iterator[str]:
    if found is None:
        return
    if full:
        yield row("Avg Decoded Tokens per Iter:", fixed(found["mean"], 4))
        return
    yield row("Mean Request AR:", fixed(found["mean"], 4))
    yield row("Median Request AR:", fixed(found["median"], 4))


def _latency_lines(tag: str, values: Mapping[str, Any], percentiles: tuple[str, ...], full: bool) -> Iterator[str]:
    name = tag.upper()
    yield row(f"Mean {name} (ms):", fixed(values[f"mean_{tag}_ms"]))
    yield row(f"Median {name} (ms):", fixed(values[f"median_{tag}_ms"]))
    if full:
        yield row(f"Std Dev {name} (ms):", fixed(values[f"std_{tag}_ms"]))
        yield row(f"Min {name} (ms):", fixed(values[f"min_{tag}_ms"]))
        yield row(f"Max {name} (ms):", fixed(values[f"max_{tag}_ms"]))
    for percentile in percentiles:
        yield row(f"P{percentile} {name} (ms):", fixed(values[f"p{percentile}_{tag}_ms"]))
