"""What a page and a Markdown file say of runs in words: the table of numbers, the verdict, what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.report.format import NOT_MEASURED, fixed, fixed_ms
from tokenclock.result import Result

__all__ = ["PERCENTILES", "case_rows", "facts", "findings", "latency_rows", "rate_rows", "title_of"]

PERCENTILES: tuple[str, ...] = ("50", "90", "99", "99.9")


def latency_rows(result: Result) -> Iterator[tuple[str, list[str]]]:
    """Of each latency with samples: its tag, then N, mean with its interval, percentiles, maximum, in ms.

    A percentile that its samples cannot support is in parentheses. Results read off another tool's log may not say how
    many samples there were, and have percentiles by that tool's rule.
    """
    confidence = (result.confidence or {}).get("latencies", {})
    marked = {(mark.metric, mark.percentile) for mark in result.quality.marks}
    for tag, found in result.latencies.items():
        if found["n"] == 0 or (found["n"] is None and found["mean"] is None) or found["unit"] != "ns":
            continue
        rank = found["percentiles"].get("rank") or found["percentiles"].get("floor") or {}
        mean = fixed_ms(found["mean"]) + _spread(confidence.get(tag, {}).get("mean"))
        cells = []
        for label in PERCENTILES:
            text = fixed_ms(rank.get(label))
            cells.append(f"({text})" if (tag, float(label)) in marked and text != NOT_MEASURED else text)
        yield tag, [_count(found["n"]), mean, *cells, fixed_ms(found["max"])]


def _count(n: int | None) -> str:
    return NOT_MEASURED if n is None else f"{n:,}"


def _spread(interval: Mapping[str, Any] | None) -> str:
    if interval is None or interval.get("low") is None:
        return ""
    return f" [{fixed_ms(interval['low'])}, {fixed_ms(interval['high'])}]"


def rate_rows(result: Result) -> Iterator[tuple[str, str, str]]:
    """Of each rate: its tag, the value of the whole run with its interval, and that of the steady window."""
    intervals = (result.confidence or {}).get("throughput", {})
    steady = (result.steady or {}).get("throughput", {})
    for tag in ("request_throughput", "output_throughput", "total_throughput", "user_throughput"):
        value = result.throughput.get(tag)
        if value is None:
            continue
        found = intervals.get(tag) or {}
        spread = "" if found.get("low") is None else f" [{found['low']:,.2f}, {found['high']:,.2f}]"
        yield tag, f"{value:,.2f}{spread}", NOT_MEASURED if steady.get(tag) is None else f"{steady[tag]:,.2f}"


def case_rows(result: Result) -> Iterator[list[str]]:
    """Of each case of an offline run: label, status, N, latency mean, median, P95, P99, tokens per second."""
    for case in result.cases:
        if case["status"] != "measured":
            yield [case["label"], f"{case['status']}: {case['reason']}", *[NOT_MEASURED] * 6]
            continue
        latency = case["latencies"]["latency"]
        rank = latency["percentiles"]["rank"]
        rate = case["throughput"].get("output_throughput")
        yield [
            case["label"], "measured", f"{case['n']:,}", fixed_ms(latency["mean"]), fixed_ms(latency["median"]),
            fixed_ms(rank.get("95")), fixed_ms(rank.get("99")), fixed(rate),
        ]  # fmt: skip


def findings(result: Result) -> list[str]:
    """Reasons and remedies of what is not ok, the worst first."""
    lines = [f"{check.status}: {check.reason}. {check.remedy}".strip() for check in result.quality.findings]
    return ["the run was interrupted", *lines] if result.incomplete else lines


def facts(result: Result) -> Sequence[tuple[str, str]]:
    """What was measured, on what: heading and value."""
    plan, machine = result.plan, result.environment
    if result.kind == "benchmark":
        model = (result.model or {}).get("name")
        pairs = [
            ("Model", model),
            ("Runtime", (result.model or {}).get("runtime")),
            ("Ranks", (result.ranks or {}).get("world_size")),
        ]
    else:
        load, endpoint = plan.get("load", {}), plan.get("endpoint", {})
        rate, dataset = load.get("request_rate"), plan.get("dataset", {})
        pairs = [
            ("Model", endpoint.get("model", plan.get("model"))),
            ("Requests", _requests(result.requests)),
            ("Concurrency", load.get("max_concurrency", plan.get("concurrency"))),
            ("Rate (req/s)", None if rate in (None, "inf") else rate),
            ("Duration (s)", _seconds(result.durations.get("first_sent_to_last_token_ns"))),
            ("Dataset", dataset.rpartition("/")[2] if isinstance(dataset, str) else result.workload.get("dataset")),
        ]
    pairs += [("Host", machine.get("host")), ("Started", result.created[:16].replace("T", " "))]
    return [(name, str(value)) for name, value in pairs if value not in (None, "")]


def _requests(requests: Mapping[str, Any]) -> str | None:
    """None where nobody counted them."""
    if requests["ok"] is None and requests["scheduled"] is None:
        return None
    return f"{_count(requests['ok'])} of {_count(requests['scheduled'])}"


def _seconds(value_ns: float | None) -> str | None:
    return None if value_ns is None else f"{value_ns / 1e9:.2f}"


def title_of(tag: str) -> str:
    """``TTFT`` for what has a common short name, else the title."""
    return tag.upper() if tag in ("ttft", "tpot", "itl", "e2el") else DEFINITIONS[tag].title
