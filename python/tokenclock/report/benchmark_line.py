"""The ``[BENCHMARK]`` line of benchmark.py: one per case, keys and values in turn, blanks between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenclock.report.format import brief

__all__ = ["render"]


def render(values: Mapping[str, Any], case: Mapping[str, Any]) -> str:
    """One line. A case that was not measured has two pairs more: its ``status`` and the ``reason``, ``_`` for blanks.

    Args:
        values: ``faces["benchmark"]["cases"][i]`` of a result.
        case: ``cases[i]`` of the same result.
    """
    pairs = dict(values)
    if case["status"] != "measured":
        pairs |= {"status": case["status"], "reason": brief(case["reason"] or "none")}
    return "[BENCHMARK] " + " ".join(f"{key} {_word(value)}" for key, value in pairs.items())


def _word(value: Any) -> str:
    return "_".join(str(value).split()) or "None"
