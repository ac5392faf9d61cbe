"""The figures of the dashboard: the newest runs one by one, older ones as means over stretches of time, changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.probability import t_quantile
from tokenclock.store.at_once import each_at_once
from tokenclock.store.change_points import ChangePoint, segments
from tokenclock.store.dashboard_words import words_of
from tokenclock.store.filter import text_of
from tokenclock.store.regressions import COUNTED_STATES, DEFAULT_BY, LONGEST_SERIES, changes_of_series, counted_points

if TYPE_CHECKING:
    from tokenclock.store.database import Database
    from tokenclock.store.filter import Filter
    from tokenclock.store.record import RunRow
    from tokenclock.store.series import Point

__all__ = ["NEWEST_RUNS", "DashboardData"]

NEWEST_RUNS = 2000
"""Runs that are told one by one; older ones are in the means."""

_MOST_CELLS = 1500
"""Of older means, in one metric."""

_FEWEST = 4
"""Values that an interval of their mean is told of."""

_DAY_S = 86_400
_WIDTHS_S = tuple(_DAY_S * days for days in (1, 2, 7, 30, 91, 365, 3650))

FACTS: tuple[str, ...] = (
    "kind", "tool", "tool_version", "backend", "streaming", "host", "gpu_count", "concurrency", "request_rate",
    "batch_size", "isl", "osl", "test", "source", "hash",
)  # fmt: skip

Floats = npt.NDArray[np.float64]


class DashboardData:
    """What the dashboard shows of a history, read once; metrics are read when asked for."""

    def __init__(
        self,
        database: Database,
        where: Filter,
        *,
        by: Sequence[str] = DEFAULT_BY,
        newest: int = NEWEST_RUNS,
    ) -> None:
        """Read the newest runs.

        Args:
            database: the history.
            where: which runs are shown.
            by: columns (or ``tag.NAME``) that divide runs into series; ``model``, ``gpu`` and ``label`` are put first.
            newest: runs that are told one by one.
        """
        self._database, self._where = database, where
        self.by = tuple(dict.fromkeys(("model", "gpu", "label", *by)))
        self.runs: list[RunRow] = database.runs(where, limit=newest)
        self.count = database.count(where)
        self.metric_names = database.metric_names(where)
        self._place = {run.id: index for index, run in enumerate(self.runs)}

    def base(self) -> dict[str, Any]:
        """Runs and their facts; the newest first."""
        texts = {name: _coded(_told(run, name) for run in self.runs) for name in FACTS}
        texts["hash"] = _coded(run.hash[:12] for run in self.runs)
        texts["tags"] = _coded(", ".join(f"{k}={v}" for k, v in sorted(run.tags.items())) for run in self.runs)
        parts = {name: _coded(_told(run, name) for run in self.runs) for name in self.by}
        stored = self._database.with_result(self._where)
        return {
            "by": list(self.by),
            "keys": {name: self._values(name, found["values"]) for name, found in parts.items()},
            "runs": {
                "id": [run.id for run in self.runs],
                "created": [round(_seconds(run.created)) for run in self.runs],
                "stored": [int(run.id in stored) for run in self.runs],
                "state": _coded(run.state for run in self.runs),
                "facts": {name: found for name, found in texts.items() if found["values"] != [""]},
                "key": parts,
            },
            "counted": sorted(COUNTED_STATES),
        }

    def _values(self, column: str, known: Sequence[str]) -> list[str]:
        """Every value of a column, of older runs too."""
        return list(dict.fromkeys([*known, *map(text_of, self._database.values(column, self._where))]))

    def words(self, name: str) -> dict[str, Any]:
        """Title, unit and direction of a metric."""
        words = words_of(name, self._database.unit(name) or "")
        return {"name": name, "title": words.title, "unit": words.unit, "better": words.better, "factor": words.factor}

    def metric(
        self, words: Mapping[str, Any], *, trend: bool = True, say: Callable[[str], object] = lambda line: None
    ) -> dict[str, Any]:
        """A metric's values of the newest runs and, with `trend`, its older means, levels and changes of every series.

        Args:
            words: of `words`; values are given in its unit.
            trend: without it only the newest runs are read.
            say: told how far it is.
        """
        name, factor = words["name"], words["factor"]
        where = self._where
        if not trend and self.runs:
            where = replace(where, since=self.runs[-1].created)
        series = self._database.series(name, by=self.by, where=where)
        columns: dict[str, list[float | None]] = {key: [None] * len(self.runs) for key in ("value", "low", "high")}
        for points in series.values():
            for point in points:
                place = self._place.get(point.run_id)
                if place is not None:
                    columns["value"][place] = _short(point.value * factor)
                    if point.low is not None and point.high is not None:
                        columns["low"][place] = _short(point.low * factor)
                        columns["high"][place] = _short(point.high * factor)
        if not any(value is not None for value in columns["low"]):
            columns["low"] = columns["high"] = []
        found: dict[str, Any] = {**columns, "series": []}
        if trend:
            width_s = self._width(series)
            work = each_at_once(lambda of: self._one(name, of[0], of[1], factor, width_s), series.items())
            for one in work:
                found["series"].append(one)
                say(f"{len(found['series'])} of {len(series)} series")
            found["bucket_s"] = width_s
        return found

    def _width(self, series: Mapping[tuple[str, ...], Sequence[Point]]) -> int:
        """The narrowest stretch of time that leaves few enough means."""
        times = [
            np.array([_seconds(p.created) for p in points if p.run_id not in self._place]) for points in series.values()
        ]
        for width_s in _WIDTHS_S:
            if sum(len(np.unique(own // width_s)) for own in times) <= _MOST_CELLS:
                return width_s
        return _WIDTHS_S[-1]

    def _one(
        self, name: str, key: tuple[str, ...], points: Sequence[Point], factor: float, width_s: int
    ) -> dict[str, Any]:
        counted = counted_points(points)
        times = np.array([_seconds(point.created) for point in counted])
        values = np.array([point.value for point in counted], dtype=np.float64) * factor
        old = np.array([point.run_id not in self._place for point in counted], dtype=bool)
        changes = changes_of_series(name, {}, points)
        cuts = [max(0, len(counted) - LONGEST_SERIES) + change.change.index for change in changes]
        levels = np.searchsorted(cuts, np.arange(len(counted)), side="right")
        newest_times, newest = times[-LONGEST_SERIES:], values[-LONGEST_SERIES:]
        return {
            "key": [text_of(part) for part in key],
            "older": _means(times[old], values[old], width_s, levels[old]) if len(counted) else [],
            "levels": _levels(newest_times, newest, [change.change for change in changes]),
            "changes": [
                {
                    "t": round(_seconds(change.created)),
                    "run": change.run_id,
                    "before": _short(change.change.before * factor),
                    "after": _short(change.change.after * factor),
                    "p": _short(change.change.p, 2),
                    "t_p": _short(change.change.t_p, 2),
                    "verdict": change.verdict,
                    "n": change.n_after,
                    "current": change.current,
                }
                for change in changes
            ],
        }


def _seconds(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()


def _told(run: RunRow, column: str) -> str:
    """A column of a run, or ``tag.NAME``, as text."""
    if column.startswith("tag."):
        return run.tags.get(column.removeprefix("tag."), "")
    return text_of(getattr(run, column))


def _short(value: float, digits: int = 6) -> float | None:
    """As many digits as a picture can show; None for what JSON cannot hold."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _coded(texts: Iterable[str]) -> dict[str, Any]:
    """Each text once, and of each run which one it has."""
    places: dict[str, int] = {}
    at = [places.setdefault(text, len(places)) for text in texts]
    return {"values": list(places), "at": at}


def _means(times: Floats, values: Floats, width_s: int, levels: npt.NDArray[np.intp]) -> list[list[float | None]]:
    """Of each stretch of time with values: its middle, mean, 95 % interval of the mean, and number of values.

    A stretch ends at a change, where `levels` does: a mean of two levels would be none that was ever measured.
    """
    found = []
    places = times // width_s * (len(levels) + 1) + levels
    for place in np.unique(places):
        own = places == place
        found.append([round(float(times[own].mean())), *_mean(values[own]), int(own.sum())])
    return found


def _levels(times: Floats, values: Floats, changes: Sequence[ChangePoint]) -> list[list[float | None]]:
    """Of each stretch between changes: first and last time, mean, 95 % interval of the mean, number of values."""
    return [
        [round(float(times[start])), round(float(times[end - 1])), *_mean(values[start:end]), end - start]
        for start, end in segments(len(values), changes)
        if end > start
    ]


def _mean(values: Floats) -> tuple[float | None, float | None, float | None]:
    """Mean and its 95 % interval by Student's t; of fewer than four values none, it would be wider than any trend."""
    mean, n = float(values.mean()), len(values)
    if n < _FEWEST:
        return _short(mean), None, None
    reach = t_quantile(0.975, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return _short(mean), _short(mean - reach), _short(mean + reach)
