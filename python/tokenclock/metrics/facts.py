"""What was asked of a serving run: the plain values that metrics, quality and result need from its plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenclock.metrics.definitions import LATENCY_TAGS

__all__ = ["RunFacts"]

SLO_TAGS: tuple[str, ...] = ("ttft", "ttst", "tpot", "e2el")


@dataclass(frozen=True)
class RunFacts:
    """What the user asked for.

    Args:
        backend: one of the plan's backends.
        model: name of the model as given.
        tokenizer: tokenizer as given, None without one.
        num_prompts: requests asked for.
        request_rate: requests per second, ``inf`` for no pacing; with a ramp-up the mean over the run.
        burstiness: gamma shape of the arrival gaps, 1 = Poisson.
        max_concurrency: requests in flight at most, None = unlimited.
        streaming: False for one JSON reply per request.
        percentile_metrics: latencies to show, of ``ttft tpot itl e2el``.
        metric_percentiles: percentiles to show, 0 <= p <= 100.
        percentiles_named: the user named the percentiles, so too few samples for one of them makes the run INVALID.
        slos_ms: limits for goodput in ms, of ``ttft ttst tpot e2el``; empty = goodput not asked.
        metadata: pairs copied to the top of the JSON file.
        max_failure_share: share of failed requests, 0 to 1, above which the run is INVALID.
        shared_prefix: prompts share a prefix by the user's wish, so cached prompt tokens are no surprise.
        label: the user's name for the run.
        slots_open_ns: when the last slot of a closed loop has opened, ns after the start.
        ramp_up: strategy, first and last rate per second of a rate that changes over the run.
        pauses: conversations that pause between turns by the user's wish, so slots stand empty and are no fault.
        connection: ``reuse``, or ``new`` for one per request.
        ignore_eos: the server was asked not to end answers by itself.

    Raises:
        ValueError: an unknown metric or limit, or a percentile out of range.
    """

    backend: str = "openai"
    model: str = ""
    tokenizer: str | None = None
    num_prompts: int = 0
    request_rate: float = math.inf
    burstiness: float = 1.0
    max_concurrency: int | None = None
    streaming: bool = True
    percentile_metrics: tuple[str, ...] = ("ttft", "tpot", "itl")
    metric_percentiles: tuple[float, ...] = (99.0,)
    percentiles_named: bool = False
    slos_ms: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    max_failure_share: float = 0.0
    shared_prefix: bool = False
    label: str | None = None
    slots_open_ns: int = 0
    ramp_up: tuple[str, float, float] | None = None
    connection: str = "reuse"
    pauses: bool = False
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        for tag in self.percentile_metrics:
            if tag not in LATENCY_TAGS:
                raise ValueError(f"percentile metric must be one of {', '.join(LATENCY_TAGS)}, got {tag!r}")
        for percentile in self.metric_percentiles:
            if not 0 <= percentile <= 100:
                raise ValueError(f"a percentile must be in [0, 100], got {percentile}")
        for tag in self.slos_ms:
            if tag not in SLO_TAGS:
                raise ValueError(f"a goodput limit must be one of {', '.join(SLO_TAGS)}, got {tag!r}")

    @property
    def loop(self) -> str:
        """``open`` (arrivals by clock), ``closed`` (by completion) or ``burst`` (everything at once)."""
        if math.isfinite(self.request_rate):
            return "open"
        return "burst" if self.max_concurrency is None else "closed"
