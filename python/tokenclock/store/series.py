"""A metric over time: points, of which change points and baselines are made, and lines, of which trends are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

__all__ = ["Line", "Point", "line_of"]


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


class Line(NamedTuple):
    """A metric's values in some runs, in order of time, in the metric's unit.

    Args:
        first, last: start of the first run and of the last one, UTC.
        values: one a run, never empty.
    """

    first: datetime
    last: datetime
    values: list[float]


def line_of(points: Sequence[Point]) -> Line:
    """Of points in order of time, one or more."""
    return Line(points[0].created, points[-1].created, [point.value for point in points])
