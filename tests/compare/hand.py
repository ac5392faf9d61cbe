"""Runs written by hand, for comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenclock.compare.estimate import Estimate
from tokenclock.compare.run import Load, Run

__all__ = ["hand_run"]


def hand_run(values: Mapping[str, float] | None = None, *, share: float | None = 0.01, **given: Any) -> Run:
    """A run at concurrency 4; each value has an interval of ``share`` of it to both sides (None: no interval)."""
    estimates = {
        name: Estimate(value, reason="a hand-made reason")
        if share is None
        else Estimate(value, value / (1 + share), value * (1 + share), 29)
        for name, value in (values or {"ttft.mean": 20e6}).items()
    }
    settings: dict[str, Any] = {
        "path": Path("a.json"), "tool": "tokenclock", "load": Load(4), "isl": 512.0, "osl": 128.0, "workload": "ab",
        "endpoint": {"streaming": True}, "model": "m", "created": "", "verdict": "VALID",
    }  # fmt: skip
    return Run(**{**settings, **given}, estimates=estimates)
