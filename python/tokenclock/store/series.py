"""A metric over time: the points that trends, change points and baselines are made of."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

__all__ = ["Point"]


class Point(NamedTuple):
    """One run's value of a metric, in the metric's unit.

    Args:
        run_id: in the database.
        created: start of the run, UTC.
        value: the number.
        low, high: its 95 % bounds; None where there are none.
        state: of the run, see `record.STATES`.
    """

    run_id: int
    created: datetime
    value: float
    low: float | None
    high: float | None
    state: str
