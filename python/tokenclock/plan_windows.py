"""The part of a load plan that ends a run by time: windows that are measured until three of them agree."""

from __future__ import annotations

from dataclasses import dataclass

from tokenclock.plan_checks import is_number, require

__all__ = ["KEPT_WINDOWS", "MOST_WINDOWS", "WindowPlan"]

KEPT_WINDOWS = 3  # that must agree, and whose requests are reported
MOST_WINDOWS = 10


@dataclass(frozen=True)
class WindowPlan:
    """Windows of equal length follow each other without a break under one load. The run ends when throughput and mean
    latency of the last three are stable, or after ten; the requests that ended in the last three are the result."""

    interval_s: float
    stability_percent: float = 999.0  # largest over smallest of three windows may be 1 + this / 100

    def __post_init__(self) -> None:
        ok = is_number(self.interval_s) and 0.001 <= self.interval_s <= 86_400
        require(ok, "--measurement-interval", "milliseconds from 1 to 86400000", self.interval_s * 1000)
        ok = is_number(self.stability_percent) and 0 < self.stability_percent < 1e6
        require(ok, "--stability-percentage", "a percentage > 0", self.stability_percent, "999 takes any three windows")
