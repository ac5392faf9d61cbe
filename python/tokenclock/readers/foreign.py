"""What another tool's file says of a run, in our names and base units; what it does not say is absent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenclock.units import NS_PER_MS

__all__ = ["ForeignResult", "ms", "number", "whole"]


@dataclass(frozen=True)
class ForeignResult:
    """One run, or one case of an offline run, as another tool wrote it.

    Args:
        path: the file.
        tool: that wrote it: ``benchmark_serving``, ``vllm``, ``genai-perf``, ``aiperf``, ``trtllm-bench`` or
            ``benchmark``.
        label: the name the user gave the run there; empty when none.
        model: as the file names it; empty when it does not.
        created: when, as the file says it; empty when it does not.
        asked: what was asked of the run, as far as the file says: ``concurrency``, ``request_rate`` (``inf`` allowed),
            ``isl``, ``osl``, ``num_prompts``, ``batch_size``, ``world_size``, ``streaming``.
        values: ``tag.statistic`` (``ttft.mean``, ``tpot.p99``) or a bare tag of a run's rate -> value in ns, or per
            second.
        n_requests: completed; None when unknown.
        n_failed: None when the file does not say.
        percentile_rule: ``linear`` or ``floor``: the tool's own.
    """

    path: Path
    tool: str
    label: str = ""
    model: str = ""
    created: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    n_requests: int | None = None
    n_failed: int | None = None
    percentile_rule: str = "linear"


def number(value: Any) -> float | None:
    """A finite number, also from text such as ``"1,234.56"``; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.replace(",", ""))
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def whole(value: Any) -> int | None:
    """A whole number; None for anything else."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def ms(value: Any) -> float | None:
    """A number in ms as ns; None for anything else."""
    found = number(value)
    return None if found is None else found * NS_PER_MS
