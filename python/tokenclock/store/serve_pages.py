"""What `history serve` answers: the dashboard, a run's own page, and figures as JSON. It only reads."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from typing import TYPE_CHECKING, Any

from tokenclock.errors import UsageError
from tokenclock.report import page, run_page
from tokenclock.report.run_page import ShownRun
from tokenclock.result import Result
from tokenclock.store.dashboard import dashboard_page, described
from tokenclock.store.dashboard_data import NEWEST_RUNS, DashboardData
from tokenclock.store.dashboard_words import in_reading_order, words_of
from tokenclock.store.engine import DatabaseRefused
from tokenclock.store.filter import COLUMNS, Filter, text_of
from tokenclock.store.reading import UnknownRun
from tokenclock.store.record import RunRow
from tokenclock.store.regressions import DEFAULT_BY

if TYPE_CHECKING:
    from tokenclock.store.database import Database

__all__ = ["MOST_PER_PAGE", "Answer", "Site"]

MOST_PER_PAGE = 500
"""Runs, or series, in one answer."""

_MOST_OFFSET = 10_000_000


class _UnknownMetric(UsageError):
    def __init__(self, name: str) -> None:
        super().__init__(f"no run has a metric {name}; /api/metrics lists them")


@dataclass(frozen=True)
class Answer:
    """Status, content type and body in pieces."""

    status: int
    type: str
    body: Sequence[bytes]


@dataclass(frozen=True)
class _Shown:
    """The history at one moment: runs, words of metrics, and the metrics read so far, as JSON."""

    stamp: str
    data: DashboardData
    words: list[dict[str, Any]]
    metrics: dict[str, bytes]


class Site:
    """The pages over one history; usable by several threads. What was read is kept until runs are added."""

    def __init__(
        self, database: Database, where: Filter, *, by: Sequence[str] = DEFAULT_BY, newest: int = NEWEST_RUNS
    ) -> None:
        self._database, self._where, self._by, self._newest = database, where, tuple(by), newest
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._shown: _Shown | None = None

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """To a GET; errors of the asker are answers too.

        Raises:
            DatabaseRefused: the history cannot be read now.
        """
        try:
            if path == "/":
                return self._dashboard()
            if path.startswith("/run/"):
                return self._run_page(path.removeprefix("/run/"))
            answers = {
                "/api/metric": self._metric,
                "/api/metrics": self._metrics_told,
                "/api/run": self._run,
                "/api/runs": self._runs,
                "/api/series": self._series,
            }
            if path in answers:
                return answers[path](query)
        except DatabaseRefused:
            raise
        except UsageError as error:
            return _json({"error": str(error)}, 404 if isinstance(error, (UnknownRun, _UnknownMetric)) else 400)
        return _json({"error": f"there is nothing at {path}; / is the dashboard"}, 404)

    def warm(self) -> None:
        """Read what the dashboard shows first, so that its first reader does not wait for it."""
        with contextlib.suppress(UsageError):
            words = self._now().words
            if words:
                self.answer("/api/metric", {"name": words[0]["name"]})

    def _now(self) -> _Shown:
        """What is in the history now."""
        with self._lock:
            newest = self._database.runs(self._where, limit=1)
            stamp = f"{self._database.count(self._where)}-{newest[0].id if newest else 0}"
            if self._shown is None or stamp != self._shown.stamp:
                data = DashboardData(self._database, self._where, by=self._by, newest=self._newest)
                self._shown = _Shown(stamp, data, described(data, (), most=len(data.metric_names)), {})
            return self._shown

    def _dashboard(self) -> Answer:
        shown = self._now()
        pieces = dashboard_page(shown.data, shown.words, {}, served=True, stamp=shown.stamp)
        return Answer(200, "text/html; charset=utf-8", pieces)

    def _metric(self, query: Mapping[str, str]) -> Answer:
        """A metric as the dashboard draws it."""
        name, shown = _needed(query, "name"), self._now()
        if query.get("stamp", shown.stamp) != shown.stamp:
            return _json({"error": "runs were added since; load the page again"}, 409)
        words = next((one for one in shown.words if one["name"] == name), None)
        if words is None:
            raise _UnknownMetric(name)
        with self._reading:  # one at a time: each takes a core for seconds in a large history
            if name not in shown.metrics:
                told = shown.data.metric(words)
                shown.metrics[name] = json.dumps(told, allow_nan=False, separators=(",", ":")).encode()
        return Answer(200, "application/json", [shown.metrics[name]])

    def _metrics_told(self, query: Mapping[str, str]) -> Answer:
        names = in_reading_order(self._database.metric_names(self._where))
        told = []
        for name in names:
            unit = self._database.unit(name) or ""
            told.append({"name": name, "unit": unit, "better": words_of(name, unit).better})
        return _json({"metrics": told})

    def _runs(self, query: Mapping[str, str]) -> Answer:
        """Runs, newest first, page by page; columns in the query must be exactly what they say."""
        where, offset, limit = self._narrowed(query), _whole(query, "offset", 0, _MOST_OFFSET), _limit(query)
        total = self._database.count(where)
        rows = self._database.runs(where, limit=offset + limit)[offset:] if offset < total else []
        return _json({**_page(offset, limit, total), "runs": [_row(row) for row in rows]})

    def _run(self, query: Mapping[str, str]) -> Answer:
        found = self._database.run(_needed(query, "id"))
        numbers = {
            name: {"value": one.value, "low": one.low, "high": one.high, "unit": one.unit}
            for name, one in found.metrics.items()
        }
        return _json({**_row(found), "metrics": numbers})

    def _series(self, query: Mapping[str, str]) -> Answer:
        """The points of a metric, a page of series at a time, in the metric's own unit."""
        name, by = _needed(query, "metric"), tuple(part for part in query.get("by", "").split(",") if part)
        offset, limit = _whole(query, "offset", 0, _MOST_OFFSET), _limit(query)
        told = {key: value for key, value in query.items() if key not in ("metric", "by")}
        found = sorted(self._database.series(name, by=by, where=self._narrowed(told)).items())
        series = [
            {
                "key": dict(zip(by, key, strict=True)),
                "points": [[p.run_id, p.created.isoformat(), p.value, p.low, p.high, p.state] for p in points],
            }
            for key, points in found[offset : offset + limit]
        ]
        unit = self._database.unit(name)
        if unit is None:
            raise _UnknownMetric(name)
        return _json({**_page(offset, limit, len(found)), "metric": name, "unit": unit, "series": series})

    def _narrowed(self, query: Mapping[str, str]) -> Filter:
        keys = {name: value for name, value in query.items() if name not in ("offset", "limit")}
        for name in keys:
            if name not in COLUMNS and not name.startswith("tag."):
                raise UsageError(
                    f"unknown {name} in the address: expected offset, limit, {', '.join(COLUMNS)} or tag.NAME"
                )
        return replace(self._where, key={**self._where.key, **keys})

    def _run_page(self, asked: str) -> Answer:
        found = self._database.run(asked)
        content = self._database.content(found.id)
        if content is not None:
            name = found.label or found.test or f"run {found.id}"
            pieces = run_page.pieces([ShownRun(name, Result.from_dict(content), None)])
        else:
            facts = [(name, text) for name, text in _texts(found) if text]
            numbers = [(name, words_of(name, one.unit).shown(one.value)) for name, one in found.metrics.items()]
            body = (
                f"<h1>Run {found.id} of {found.created:%Y-%m-%d %H:%M} UTC</h1>"
                '<p class="soft">The history holds the numbers of this run, and no result of tokenclock.</p>'
                + page.table(["fact", "value"], [[escape(a), escape(b)] for a, b in facts], words=(1,), label="Facts")
                + page.table(["metric", "value"], [[escape(a), escape(b)] for a, b in numbers], label="Numbers")
            )
            pieces = page.with_plots(f"Run {found.id}", body, [])
        return Answer(200, "text/html; charset=utf-8", pieces)


def _json(told: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status, "application/json", [json.dumps(told, separators=(",", ":")).encode()])


def _page(offset: int, limit: int, total: int) -> dict[str, Any]:
    following = offset + limit if offset + limit < total else None
    return {"offset": offset, "limit": limit, "total": total, "next_offset": following}


def _texts(row: RunRow) -> list[tuple[str, str]]:
    """Facts as text; a number that JSON does not know (an infinite rate) is told too."""
    facts = [
        (entry.name, text_of(getattr(row, entry.name)))
        for entry in fields(RunRow)
        if entry.name not in ("tags", "created")
    ]
    return [*facts, *((f"tag.{name}", value) for name, value in row.tags.items())]


def _row(row: RunRow) -> dict[str, Any]:
    return {"id": row.id, "created": row.created.isoformat(), **{k: v for k, v in _texts(row) if v and k != "id"}}


def _needed(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise UsageError(f"expected {name}= in the address")
    return query[name]


def _whole(query: Mapping[str, str], name: str, default: int, most: int, *, least: int = 0) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not least <= int(text[:9]) <= most or len(text) > 9:
        raise UsageError(f"{name} must be a whole number from {least} to {most}, got {text[:40]}")
    return int(text)


def _limit(query: Mapping[str, str]) -> int:
    return _whole(query, "limit", 100, MOST_PER_PAGE, least=1)
