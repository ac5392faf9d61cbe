"""One number of one run with its 95 % interval, or the reason why it has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True)
class Estimate:
    """A value in its base unit (ns, 1/s).

    Args:
        value: > 0.
        low, high: 95 % bounds, both > 0; None where there are none.
        dof: degrees of freedom behind the bounds: blocks, or independent requests, less one.
        reason: why there are no bounds, else empty.
    """

    value: float
    low: float | None = None
    high: float | None = None
    dof: float = math.inf
    reason: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether there are bounds that a ratio can be made of."""
        return self.low is not None and self.high is not None and self.low > 0


def estimate(value: float | None, interval: Mapping[str, Any] | None, dof: float, lacking: str) -> Estimate | None:
    """From a value and the ``low``, ``high`` and ``reason`` that a result holds of it.

    Args:
        value: None or 0: there is nothing to compare.
        interval: None where the result has none of this number.
        dof: of the interval.
        lacking: the reason where ``interval`` is None.
    """
    if value is None or value <= 0:
        return None
    if interval is None or interval.get("low") is None or interval.get("high") is None:
        return Estimate(value, reason=lacking if interval is None else str(interval.get("reason") or lacking))
    if interval["low"] <= 0:
        return Estimate(value, reason="its interval reaches 0")
    return Estimate(value, float(interval["low"]), float(interval["high"]), dof)
