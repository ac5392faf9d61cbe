"""Where metrics of the history changed their level: change points of every series, with the direction that is worse."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tokenclock.store.at_once import each_at_once
from tokenclock.store.change_points import ChangePoint, change_points
from tokenclock.store.dashboard_words import MetricWords, in_reading_order, words_of
from tokenclock.store.filter import Filter

if TYPE_CHECKING:
    from tokenclock.store.database import Database
    from tokenclock.store.series import Point

__all__ = [
    "COUNTED_STATES",
    "DEFAULT_BY",
    "LONGEST_SERIES",
    "Found",
    "changes_of_series",
    "counted_points",
    "regressions",
]

DEFAULT_BY: tuple[str, ...] = ("label", "gpu", "model", "test", "concurrency", "request_rate", "batch_size")
"""What must be alike for runs to be one series: the load too, else a sweep looks like a row of changes."""

COUNTED_STATES = frozenset({"valid", "warn", "unknown"})
"""States of runs whose numbers count."""

_NAMED = ("concurrency", "request_rate", "batch_size", "isl", "osl", "gpu_count")

LONGEST_SERIES = 2000
"""Newest values of a series that are looked at."""


@dataclass(frozen=True)
class Found:
    """A change of one metric of one series.

    Args:
        metric: name in the history.
        key: what the series' runs have in common, as asked by `by`; empty values left out.
        run_id: of the first run after the change.
        created: start of that run, UTC.
        change: levels in the stored unit, and p-values.
        verdict: ``regression`` or ``improvement``.
        n_after: values since.
        current: not undone: up to the next change in the same direction no level was within the least change that
            counts of the level before, or beyond it, nor is the newest level.
        unit: of the metric, as stored.
    """

    metric: str
    key: Mapping[str, str]
    run_id: int
    created: datetime
    change: ChangePoint
    verdict: str
    n_after: int
    current: bool
    unit: str = ""

    @property
    def words(self) -> MetricWords:
        """How its values are shown."""
        return words_of(self.metric, self.unit)

    def series_name(self) -> str:
        """The series in words."""
        return (
            ", ".join(
                f"{name} {value}" if name in _NAMED else value
                for name, value in self.key.items()
                if (name, value) != ("request_rate", "inf")
            )
            or "not told"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        ratio = self.change.ratio
        return {
            "metric": self.metric,
            "unit": self.unit,
            "key": dict(self.key),
            "verdict": self.verdict,
            "created": self.created.isoformat(),
            "run_id": self.run_id,
            "before": self.change.before,
            "after": self.change.after,
            "change": ratio - 1 if abs(ratio) < float("inf") else None,
            "p": self.change.p,
            "t_p": self.change.t_p,
            "runs_after": self.n_after,
            "current": self.current,
        }


def regressions(
    database: Database,
    where: Filter | None = None,
    by: Sequence[str] = DEFAULT_BY,
    metrics: Sequence[str] = (),
    *,
    since: datetime | None = None,
    significance: float = 0.01,
    minimum_change: float = 0.02,
    looked_at: Callable[[int], object] = lambda n: None,
    say: Callable[[str], object] = lambda line: None,
) -> list[Found]:
    """Changes of every series, the newest first.

    Args:
        database: the history.
        where: which runs are looked at; None: all.
        by: columns that divide runs into series.
        metrics: names; all of the history when empty.
        since: tell only changes at runs from then on; earlier runs are what they are compared with.
        significance, minimum_change: of `change_points`.
        looked_at: told the number of series of each metric.
        say: told how far it is.

    Raises:
        ValueError: an option out of range.
    """
    where = where or Filter()
    found: list[Found] = []
    names = metrics or in_reading_order(database.metric_names(where))
    for place, metric in enumerate(names, start=1):
        say(f"reading {metric} ({place} of {len(names)})")
        unit = database.unit(metric) or ""
        series = database.series(metric, by=tuple(by), where=where)
        looked_at(len(series))

        def changes(of: tuple[tuple[str, ...], Sequence[Point]], metric: str = metric, unit: str = unit) -> list[Found]:
            key = {name: value for name, value in zip(by, of[0], strict=True) if value not in ("", None)}
            return changes_of_series(
                metric, key, of[1], unit=unit, significance=significance, minimum_change=minimum_change
            )

        for done, more in enumerate(each_at_once(changes, series.items()), start=1):
            found += more
            say(f"{metric} ({place} of {len(names)}): {done} of {len(series)} series")
    if since is not None:
        found = [change for change in found if change.created >= since]
    return sorted(found, key=lambda change: (change.created, change.run_id), reverse=True)


def counted_points(points: Sequence[Point]) -> list[Point]:
    """Points of runs whose numbers count, where the number is one."""
    return [point for point in points if point.state in COUNTED_STATES and math.isfinite(point.value)]


def changes_of_series(
    metric: str,
    key: Mapping[str, str],
    points: Sequence[Point],
    *,
    unit: str = "",
    significance: float = 0.01,
    minimum_change: float = 0.02,
) -> list[Found]:
    """Changes of one series in order of time; runs whose state does not count are left out."""
    counted = counted_points(points)[-LONGEST_SERIES:]
    values = [point.value for point in counted]
    changes = change_points(values, significance=significance, minimum_change=minimum_change)
    better = words_of(metric).better
    ends = [*(change.index for change in changes[1:]), len(counted)][: len(changes)]
    return [
        Found(
            metric=metric,
            key=key,
            run_id=counted[change.index].run_id,
            created=counted[change.index].created,
            change=change,
            verdict="improvement" if (change.after < change.before) == (better == "lower") else "regression",
            n_after=end - change.index,
            current=_stands(changes[place:], minimum_change),
            unit=unit,
        )
        for place, (change, end) in enumerate(zip(changes, ends, strict=True))
    ]


def _stands(changes: Sequence[ChangePoint], minimum_change: float) -> bool:
    """Whether the first change was not undone by those after it, which may undo it and then do another like it."""
    first, up = changes[0], changes[0].after > changes[0].before
    for change in changes[1:]:
        if (change.after > change.before) == up:
            break
        if not _still(first, change.after, minimum_change):
            return False
    return _still(first, changes[-1].after, minimum_change)


def _still(change: ChangePoint, level: float, minimum_change: float) -> bool:
    """Whether a later level differs from that before the change as the change did."""
    moved = level - change.before
    return moved * (change.after - change.before) > 0 and abs(moved) >= minimum_change * abs(change.before)
