"""How a comparison's numbers are written, the same in every form of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenclock.report.format import NOT_MEASURED, fixed, fixed_ms

__all__ = [
    "brief",
    "change",
    "gate_lines",
    "gate_verdict",
    "heading_of",
    "interval",
    "metric_name",
    "shown",
    "unit_of",
    "visible",
]

_WIDEST = 24
_STATISTICS = {"mean": "mean", "p50": "median", "p90": "P90", "p95": "P95", "p99": "P99"}
_NAMES = {"latency": "Latency", "device_latency": "Device latency", "generation": "Generation"}
_NAMES |= {"response_ttft": "Response TTFT", "response_e2el": "Response E2EL"}
_SHORT = {"output_throughput": "Output", "request_throughput": "Requests", "user_throughput": "Per user"}
_SHORT |= {"total_throughput": "Total", "row_throughput": "Rows", "decode_throughput": "Decode"}
_WHAT = {"request_throughput": "req/s", "row_throughput": "rows/s"}


def metric_name(metric: str) -> str:
    """``ttft.p99`` -> ``TTFT P99 (ms)``."""
    tag, _, statistic = metric.partition(".")
    if not statistic:
        return f"{_SHORT.get(tag, tag)} ({unit_of(metric)})"
    return f"{_NAMES.get(tag, tag.upper())} {_STATISTICS.get(statistic, statistic)} ({unit_of(metric)})"


def unit_of(metric: str) -> str:
    """The unit that its values are shown in."""
    return "ms" if "." in metric else _WHAT.get(metric, "tok/s")


def shown(metric: str, value: float | None) -> str:
    """A value of it: ms with two decimals (three below 10), or per second."""
    if "." not in metric:
        return NOT_MEASURED if value is None else f"{value:,.2f}"
    return fixed_ms(value, 2 if value is None or value >= 10e6 else 3)


def brief(name: str) -> str:
    """A side's name as the head of a column: the end of a long one, which tells paths apart."""
    return name if len(name) <= _WIDEST else f"...{name[3 - _WIDEST :]}"


def change(ratio: float | None) -> str:
    """1.098 -> ``+9.8 %``."""
    return NOT_MEASURED if ratio is None else f"{(ratio - 1) * 100:+.1f} %"


def gate_verdict(comparison: Mapping[str, Any]) -> str:
    """One line on the ``--fail-if`` conditions: missed or passed; empty where there were none."""
    gate = comparison.get("gate")
    if gate is None:
        return ""
    if gate["met"]:
        return "Gate missed: --fail-if was met, the exit code is 3"
    n = len(gate["conditions"])
    return "Gate passed: " + ("--fail-if was not met" if n == 1 else f"none of {n} --fail-if conditions was met")


def gate_lines(comparison: Mapping[str, Any]) -> list[str]:
    """What met each condition; where none was met, the conditions themselves."""
    gate = comparison.get("gate") or {"conditions": [], "met": []}
    return list(gate["met"] or gate["conditions"])


def interval(row: Mapping[str, Any]) -> str:
    """The 95 % interval of the change; a dash where there is none."""
    if row["low"] is None:
        return "-"
    return f"{(row['low'] - 1) * 100:+.1f} .. {(row['high'] - 1) * 100:+.1f} %"


def visible(row: Mapping[str, Any]) -> str:
    """The smallest difference that would have been called."""
    if row["visible"] is None:
        return "-"
    return "> 1000 %" if row["visible"] > 10 else f"{row['visible'] * 100:.1f} %"


def heading_of(point: Mapping[str, Any], baseline: str) -> str:
    """``b against a, concurrency 4 (ISL 512, OSL 128)``."""
    lengths = [
        f"{name} {fixed(point[key], 0)}" for name, key in (("ISL", "isl"), ("OSL", "osl")) if point[key] is not None
    ]
    return f"{point['other']} against {baseline}, {point['load']['text']}" + (
        f" ({', '.join(lengths)})" if lengths else ""
    )
