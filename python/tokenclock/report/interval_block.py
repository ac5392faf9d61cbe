"""The block of 95 % intervals that ``--intervals`` asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokenclock import units
from tokenclock.report.format import NOT_MEASURED, fixed, fixed_ms, heading, own_row, rule, wrapped
from tokenclock.result import Result

__all__ = ["render"]

_RATES = (
    ("Requests per second:", "request_throughput"),
    ("Output tokens per second:", "output_throughput"),
    ("All tokens per second:", "total_throughput"),
    ("Tokens per second and user:", "user_throughput"),
)


def render(result: Result) -> str:
    """The block as text, ending in a newline: of the whole run, and of the steady part where there is one."""
    lines = []
    steady = (result.steady or {}).get("confidence")
    for title, found in (("whole run", result.confidence), ("steady part", steady)):
        if found is not None:
            lines += [heading(f" 95 % intervals, {title} ", "="), *_rows(result, found)]
    return "\n".join([*lines, rule()]) + "\n" if lines else ""


def _rows(result: Result, confidence: Mapping[str, Any]) -> Iterator[str]:
    yield own_row("Counted by:", confidence["method"])
    if confidence["n_blocks"]:
        length = fixed(units.ns_to_s(confidence["block_ns"]))
        yield own_row("Windows of time:", f"{confidence['n_blocks']} of {length} s")
    lacking: dict[str, list[str]] = {}
    for tag in result.faces["serving"]["metrics"]:
        found = confidence["latencies"][tag]
        if not found["n"]:
            continue
        rows = [("mean", found["mean"])]
        rows += [(f"p{p}", found["percentiles"][p]) for p in _shown(result)]
        for label, interval in rows:
            name = f"{tag.upper()} {label}"
            yield own_row(f"{name} (ms):", _bounds(interval, fixed_ms))
            if interval["reason"]:
                lacking.setdefault(interval["reason"], []).append(name)
    for label, key in _RATES:
        interval = confidence["throughput"].get(key)
        if interval is not None:
            yield own_row(label, _bounds(interval, fixed))
            if interval["reason"]:
                lacking.setdefault(interval["reason"], []).append(label.rstrip(":"))
    for reason, names in lacking.items():
        yield from wrapped(f"{NOT_MEASURED}: {', '.join(names)}: {reason}", "", "  ")


def _shown(result: Result) -> list[str]:
    """p50, p90, p99 and what the user named, in order."""
    return sorted({"50", "90", "99", *result.faces["serving"]["percentiles"]}, key=float)


def _bounds(interval: Mapping[str, Any], shown: Any) -> str:
    if interval["low"] is None:
        return NOT_MEASURED
    return f"{shown(interval['low'])} to {shown(interval['high'])}"
