"""What the metrics of the history are called for people: title, unit shown, and which direction is better."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.metrics.offline_definitions import OFFLINE_DEFINITIONS
from tokenclock.units import NS_PER_MS

__all__ = ["MetricWords", "in_reading_order", "words_of"]

_TAGS = ("ttft", "tpot", "itl", "e2el", "latency", "device_latency", "generation")
_STATISTICS = ("mean", "p50", "median", "p99")
_RATES = ("output_throughput", "request_throughput", "total_throughput", "user_throughput", "goodput", "goodput_share")
_FIRST = (*(f"{tag}.{statistic}" for statistic in _STATISTICS[:1] for tag in _TAGS), *_RATES)
_HIGHER = ("THROUGHPUT", "KV_CACHE_SIZE")
"""In names of the metric types of performance tests; all others are times and sizes."""


@dataclass(frozen=True)
class MetricWords:
    """How a metric is shown.

    Args:
        name: in the history, such as ``ttft.mean``.
        title: for headings, without unit.
        unit: that values are shown in; empty where none is known.
        factor: from the stored unit to the one shown.
        better: ``lower`` or ``higher``.
    """

    name: str
    title: str
    unit: str
    factor: float
    better: str

    def shown(self, value: float | None) -> str:
        """The value with its unit: four significant digits, more before the point where there are more."""
        if value is None:
            return "n/a"
        scaled = value * self.factor
        digits = f"{scaled:,.0f}" if abs(scaled) >= 1000 else f"{scaled:.4g}"
        return f"{digits} {self.unit}".rstrip()


def words_of(name: str, unit: str = "") -> MetricWords:
    """How the metric `name`, whose values are stored in `unit`, is shown; an unknown one under its own name.

    Args:
        name: a tag with its statistic (``ttft.p99``), a rate (``output_throughput``) or a metric type (``BUILD_TIME``).
        unit: as stored; where empty, that of the definition.
    """
    tag, _, statistic = name.partition(".")
    known = DEFINITIONS.get(tag) or OFFLINE_DEFINITIONS.get(tag)
    if known is None:
        better = "higher" if any(word in name.upper() for word in _HIGHER) else "lower"
        shown, factor = _shown_unit(unit, tag)
        return MetricWords(name, name, shown, factor, better)
    title = tag.upper() if tag in ("ttft", "tpot", "itl", "e2el") else known.title
    statistic = {"p50": "median"}.get(statistic, statistic.upper() if statistic.startswith("p") else statistic)
    shown, factor = _shown_unit(unit or known.unit, tag)
    return MetricWords(name, f"{title} {statistic}".strip(), shown, factor, known.better)


def _shown_unit(unit: str, tag: str) -> tuple[str, float]:
    if unit == "ns":
        return "ms", 1 / NS_PER_MS
    if unit == "1/s":
        return {"request_throughput": "req/s", "goodput": "req/s", "row_throughput": "rows/s"}.get(tag, "tok/s"), 1.0
    return unit, 1.0


def in_reading_order(names: Iterable[str]) -> list[str]:
    """Means of latencies, rates, then their medians and P99, then all others by name."""

    def place(name: str) -> tuple[int, int, str]:
        if name in _FIRST:
            return 0, _FIRST.index(name), name
        tag, _, statistic = name.partition(".")
        if tag in _TAGS and statistic in _STATISTICS:
            return 1, _TAGS.index(tag) * len(_STATISTICS) + _STATISTICS.index(statistic), name
        return (2, 0, name) if name.isupper() else (3, 0, name)

    return sorted(set(names), key=place)
