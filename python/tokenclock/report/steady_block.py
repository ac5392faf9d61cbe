"""The block that holds the steady part of a run beside the whole of it.

Its labels are not those of the classic table: scripts look for these, and must find them once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokenclock import units
from tokenclock.report.format import fixed, fixed_ms, heading, own_row, rule, spread, wrapped
from tokenclock.result import Result

__all__ = ["render"]


def render(result: Result) -> str:
    """The block as text, ending in a newline; one line instead of numbers where no part was steady."""
    if result.steady is None:  # a file of schema 1.1
        return ""
    lines = [heading(" Steady state ", "="), *_rows(result, result.steady), rule()]
    return "\n".join(lines) + "\n"


def _rows(result: Result, steady: Mapping[str, Any]) -> Iterator[str]:
    if steady["t_start_ns"] is None:
        yield from wrapped(f"No steady part: {steady['reason']}.", "", "  ")
        return
    start, end = (fixed(units.ns_to_s(steady[key])) for key in ("t_start_ns", "t_end_ns"))
    yield own_row("Window (s after the start):", f"{start} to {end}")
    yield own_row("Requests sent in it:", f"{steady['n_requests']} of {result.requests['scheduled']}")
    yield own_row("Requests under way, mean:", fixed(steady["concurrency"]))
    yield heading(" Whole run / steady part ")
    shown = [tag for tag in result.faces["serving"]["metrics"] if tag in steady["latencies"]]
    for tag in shown:
        both = (result.latencies[tag], steady["latencies"][tag])
        if not both[0]["n"]:
            continue
        yield own_row(f"{tag.upper()} mean (ms):", spread(fixed_ms(found["mean"]) for found in both))
        for p in ("50", "99"):
            values = (fixed_ms(found["percentiles"]["rank"][p]) for found in both)
            yield own_row(f"{tag.upper()} p{p} (ms):", spread(values))
    for label, key in (
        ("Requests per second:", "request_throughput"),
        ("Output tokens per second:", "output_throughput"),
    ):
        yield own_row(label, spread(fixed(found[key]) for found in (result.throughput, steady["throughput"])))
    yield own_row("Whole run's rates over:", "first send to last token")
    yield own_row("Percentile rule here:", "rank")
