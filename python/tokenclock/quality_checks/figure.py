"""What a check found, before it is held against its threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tokenclock.metrics.summary import Distribution

__all__ = ["Figure", "Value", "spread_ns"]

Value: TypeAlias = float | int | str | None


@dataclass(frozen=True)
class Figure:
    """One figure to judge.

    Args:
        tag: key in ``quality.THRESHOLDS``.
        value: None = there was nothing to judge.
        details: more to show, instants and lags in ns (``_ns``), shares 0..1. The threshold's text may name them.
        invalid: replaces the table's limit, where the user sets it.
        remedy: replaces the table's, where the run tells more of the cause.
        verdict: status and reason that hold whatever the limits say; ``ok`` where the user wished it so.
    """

    tag: str
    value: float | None
    details: Mapping[str, Value] = field(default_factory=dict)
    invalid: float | None = None
    remedy: str = ""
    verdict: tuple[str, str] | None = None


def spread_ns(values: Distribution) -> dict[str, Value]:
    """p50, p99 and maximum of values in ns, as details."""
    return {"p50_ns": values.percentile(50), "p99_ns": values.percentile(99), "max_ns": values.maximum}
