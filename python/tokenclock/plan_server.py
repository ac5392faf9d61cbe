"""The parts of a serving plan that concern a growing rate, and what is asked of the server around the run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tokenclock.plan_checks import is_number, require

__all__ = ["CACHE_RESETS", "RAMP_UP_STRATEGIES", "RampUp", "ServerPlan"]

RAMP_UP_STRATEGIES = ("linear", "exponential")
CACHE_RESETS = ("flush_cache", "reset_prefix_cache")  # SGLang's and vLLM's endpoint


@dataclass(frozen=True)
class RampUp:
    """An arrival rate that goes from one value to another over the run, request by request."""

    strategy: str  # linear | exponential
    start_rps: float  # requests per second
    end_rps: float

    def __post_init__(self) -> None:
        require(
            self.strategy in RAMP_UP_STRATEGIES, "--ramp-up-strategy", "linear or exponential", self.strategy
        )  # fmt: skip
        for flag, rate in (("--ramp-up-start-rps", self.start_rps), ("--ramp-up-end-rps", self.end_rps)):
            require(is_number(rate) and 0 < rate < math.inf, flag, "requests per second > 0", rate)


@dataclass(frozen=True)
class ServerPlan:
    """What the server is told and asked before and after the run, outside of the measured time."""

    reset_cache: str | None = None  # flush_cache | reset_prefix_cache
    profile: bool = False  # /start_profile before, /stop_profile after
    time_breakdown: bool = False  # /perf_metrics after
    gpu_telemetry: bool = False  # watch the GPUs of this host during the load
    dcgm_urls: tuple[str, ...] = ()  # DCGM exporters that are read during the load

    def __post_init__(self) -> None:
        require(
            self.reset_cache is None or self.reset_cache in CACHE_RESETS,
            "server.reset_cache",
            " or ".join(CACHE_RESETS),
            self.reset_cache,
        )
        for url in self.dcgm_urls:
            ok = isinstance(url, str) and re.fullmatch(r"https?://[^\s/]+(/\S*)?", url) is not None
            require(ok, "--server-metrics-url", "http://HOST:PORT/PATH of a DCGM exporter", url)
