"""What another tool's file says of a run, in our names and base units; what it does not say is absent."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenclock.units import NS_PER_MS

__all__ = ["ForeignResult", "measured", "measured_ms", "number", "refused_numbers", "whole"]

_NOT_TOLD = ("", "-", "n/a", "none")
_REFUSED: ContextVar[list[str] | None] = ContextVar("refused numbers", default=None)


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


def measured(name: str, value: Any, factor: float = 1.0) -> float | None:
    """The value of a metric, in base units; None where there is none, and for what no clock measured.

    Args:
        name: ``tag.statistic`` of a latency, which is above 0 (a gap between chunks may be 0), or a rate, 0 or more.
        value: as it stands in the file; what is neither a number nor a word for nothing is kept for `refused_numbers`.
        factor: to base units.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in _NOT_TOLD):
        return None
    found = number(value)
    may_be_zero = "." not in name or name.startswith("itl.")
    if found is not None and (found > 0 or (found == 0 and may_be_zero)):
        return found * factor
    refused = _REFUSED.get()
    if refused is not None:
        refused.append(f"{name} of {str(value)[:20]}")
    return None


def measured_ms(name: str, value: Any) -> float | None:
    """The same of a value in ms, as ns."""
    return measured(name, value, NS_PER_MS)


@contextlib.contextmanager
def refused_numbers() -> Iterator[list[str]]:
    """What `measured` refuses meanwhile: name and value."""
    refused: list[str] = []
    before = _REFUSED.set(refused)
    try:
        yield refused
    finally:
        _REFUSED.reset(before)
