"""Figures of a case as properties of its entry in a JUnit file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenclock.perftest.outcome import Outcome

__all__ = ["properties"]


def properties(outcome: Outcome, decisions: Iterable[Any] = ()) -> list[tuple[str, str]]:
    """Name and value of each property, for `item.user_properties`.

    Args:
        outcome: of the case.
        decisions: of the gate, each with `metric`, `verdict` and `reason`.
    """
    found = [("canonical_label", outcome.case.canonical), ("state", outcome.state)]
    if outcome.reason:
        found.append(("reason", outcome.reason))
    several = len({row.network for row in outcome.rows}) > 1
    for row in outcome.rows:
        name = f"{row.metric_type}[{row.network}]" if several else row.metric_type
        found.append((name, f"{row.state}" if row.value is None else f"{row.value:.9g} {row.unit}"))
    for name, why in outcome.ungated.items():
        found.append((f"verdict {name}", f"not gated: {why}"))
    for decision in decisions:
        text = f"{decision.verdict}: {decision.reason}" if decision.reason else decision.verdict
        found.append((f"verdict {decision.metric}", text))
    return found
