"""From which change on a metric is worth a verdict: a relative part and an absolute part, and both must be exceeded.

The absolute part only keeps what nobody can feel from being called, such as 6 % of a TPOT of 0.2 ms. It is far below
the 50 ms that the performance-test flow of TensorRT-LLM puts on every latency, under which a TPOT of 10 ms may grow
fivefold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.metrics.offline_definitions import OFFLINE_DEFINITIONS
from tokenclock.units import NS_PER_MS

__all__ = ["TEST_METRICS", "Threshold", "known_metrics", "shared_alpha", "threshold_of"]


@dataclass(frozen=True)
class Threshold:
    """What a change has to exceed.

    Args:
        better: ``lower`` or ``higher``.
        relative: share of the baseline, such as 0.05.
        absolute: in the unit of the metric.
        unit: that the absolute part is written in; empty: none is said.
        shown_per_unit: what a value is multiplied by to be written in that unit.

    Raises:
        ValueError: ``better`` is another word, or a part is negative.
    """

    better: str
    relative: float
    absolute: float
    unit: str = field(default="", compare=False)
    shown_per_unit: float = field(default=1.0, compare=False)

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher"):
            raise ValueError(f"better must be lower or higher, got {self.better}")
        if not (self.relative >= 0 and self.absolute >= 0):
            raise ValueError(f"both parts must be >= 0, got {self.relative} and {self.absolute}")

    def least(self, baseline: float) -> float:
        """The smallest change that exceeds both parts, as a share of that baseline (> 0)."""
        return max(self.relative, self.absolute / baseline)


RELATIVE = 0.05
RELATIVE_TAIL = 0.10
"""Of percentiles from 90 on, which few samples make."""

_MS = "ms"
_LATENCIES_MS = {"FIRST_TOKEN_TIME": 0.5, "OUTPUT_TOKEN_TIME": 0.1, "INTER_TOKEN_TIME": 0.1, "INFERENCE_TIME": 1.0}

TEST_METRICS: dict[str, tuple[str, Threshold]] = {
    "BUILD_TIME": ("s", Threshold("lower", 0.10, 5.0)),
    **{name: (_MS, Threshold("lower", RELATIVE, least)) for name, least in _LATENCIES_MS.items()},
    **{f"MEDIAN_{name}": (_MS, Threshold("lower", RELATIVE, least)) for name, least in _LATENCIES_MS.items()},
    **{f"P99_{name}": (_MS, Threshold("lower", RELATIVE_TAIL, least)) for name, least in _LATENCIES_MS.items()},
    "SEQ_LATENCY": (_MS, Threshold("lower", RELATIVE, 1.0)),
    "DISAGG_SERVER_E2EL": (_MS, Threshold("lower", RELATIVE, 1.0)),
    "DISAGG_SERVER_TTFT": (_MS, Threshold("lower", RELATIVE, 0.5)),
    "TOKEN_THROUGHPUT": ("tok/s", Threshold("higher", RELATIVE, 0.1)),
    "TOTAL_TOKEN_THROUGHPUT": ("tok/s", Threshold("higher", RELATIVE, 0.1)),
    "USER_THROUGHPUT": ("tok/s", Threshold("higher", RELATIVE, 0.1)),
    "SEQ_THROUGHPUT": ("req/s", Threshold("higher", RELATIVE, 0.001)),
    "INFERENCE_PEAK_GPU_MEMORY": ("GiB", Threshold("lower", RELATIVE, 0.1)),
    "BUILD_PEAK_CPU_MEMORY": ("MiB", Threshold("lower", 0.10, 100.0)),
    "BUILD_PEAK_GPU_MEMORY": ("MiB", Threshold("lower", 0.10, 100.0)),
    "CONTEXT_GPU_MEMORY": ("MiB", Threshold("lower", RELATIVE, 16.0)),
    "ENGINE_SIZE": ("MiB", Threshold("lower", RELATIVE, 16.0)),
    "KV_CACHE_SIZE": ("GiB", Threshold("higher", RELATIVE, 0.1)),
}
"""Metric types of performance tests: unit, and our threshold in that unit."""

_ONE_OVER_DURATION = (
    "TOKEN_THROUGHPUT", "SEQ_THROUGHPUT", "TOTAL_TOKEN_THROUGHPUT",
    "output_throughput", "request_throughput", "total_throughput",
)  # fmt: skip


def shared_alpha(metrics: Sequence[str], alpha: float) -> float:
    """The two-sided level of each metric with which a case has false alarms in ``alpha`` of its runs at most.

    By Bonferroni. A false alarm is a regression that is none, and half of a two-sided level is on either side; so each
    metric has one and a half times its share, which leaves a quarter for what leaving out outliers costs. Throughputs
    of a case count as one: of a fixed amount of work all are one over its duration.
    """
    told = {("throughput", name.partition("[")[2]) if name.partition("[")[0] in _ONE_OVER_DURATION else name
            for name in metrics}  # fmt: skip
    return min(alpha, 1.5 * alpha / max(1, len(told)))


_ABSOLUTE_NS = {
    "ttft": 0.5, "response_ttft": 0.5,
    "tpot": 0.1, "itl": 0.1, "itl_per_token": 0.1, "tpot_after_first_event": 0.1,
    "latency": 0.1, "device_latency": 0.1, "generation": 0.1,
}  # fmt: skip
_ABSOLUTE_PER_S = {"request_throughput": 0.001, "goodput": 0.001, "row_throughput": 0.001}
_TAILS = ("p90", "p95", "p99", "p99.9", "max")


def known_metrics() -> Iterator[str]:
    """Names that ``threshold_of`` knows: metric types of performance tests, and tags of our definitions."""
    yield from TEST_METRICS
    yield from dict.fromkeys([*DEFINITIONS, *OFFLINE_DEFINITIONS])


def threshold_of(metric: str) -> Threshold | None:
    """Ours for a metric type (`OUTPUT_TOKEN_TIME`) or a metric of a result (`tpot.p99`, in ns; rates per second).

    None for a metric that is not known: nobody can say which way it is better.
    """
    test_metric = metric.partition("[")[0]  # lengths or a client may follow it in brackets
    if test_metric in TEST_METRICS:
        unit, found = TEST_METRICS[test_metric]
        return replace(found, unit=unit)
    tag, _, statistic = metric.partition(".")
    definition = DEFINITIONS.get(tag) or OFFLINE_DEFINITIONS.get(tag)
    if definition is None:
        return None
    relative = RELATIVE_TAIL if statistic in _TAILS else RELATIVE
    unit, shown_per_unit = {"ns": ("ms", 1 / NS_PER_MS), "1/s": ("per second", 1.0)}.get(definition.unit, ("", 1.0))
    if definition.unit == "ns":
        absolute = _ABSOLUTE_NS.get(tag, 1.0) * NS_PER_MS
    elif definition.unit == "1/s":
        absolute = _ABSOLUTE_PER_S.get(tag, 0.1)
    else:
        absolute = 0.0
    return Threshold(definition.better, relative, absolute, unit, shown_per_unit)
