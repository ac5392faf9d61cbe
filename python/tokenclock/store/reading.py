"""Questions to the database. None of them loads a run's stored result except `content_of`."""

from __future__ import annotations

import contextlib
import gc
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, select

from tokenclock.errors import UsageError
from tokenclock.store.conditions import conditions
from tokenclock.store.engine import binary_rows
from tokenclock.store.filter import Filter, checked_column, text_of
from tokenclock.store.record import MetricValue, RunRow
from tokenclock.store.series import Line, Point
from tokenclock.store.tables import contents, instant, metric_names, metrics, runs, tags

__all__ = [
    "UnknownRun",
    "content_of",
    "lines_of",
    "metrics_of",
    "names_of_metrics",
    "packed_content_of",
    "row_of",
    "run_id_of",
    "runs_that",
    "series_of",
    "unit_of",
    "values_of",
]  # fmt: skip

_AT_ONCE = 5_000
_NUMBER = (metrics.c.value, metrics.c.low, metrics.c.high, metric_names.c.unit)
_ROW = tuple(column for column in runs.c if column.name != "content_hash")


def runs_that(connection: Connection, where: Filter, limit: int | None) -> list[RunRow]:
    """Newest first."""
    query = select(*_ROW).where(*conditions(where)).order_by(runs.c.created_us.desc(), runs.c.id.desc())
    rows = connection.execute(query if limit is None else query.limit(limit)).all()
    of_tags = _tags(connection, None if limit is None and not conditions(where) else [row.id for row in rows])
    return [_run(row, of_tags.get(row.id, {})) for row in rows]


def _run(row: Row[Any], of_tags: dict[str, str]) -> RunRow:
    facts = dict(row._mapping)
    created = instant(facts.pop("created_us"))
    return RunRow(created=created, tags=of_tags, **facts)


def _tags(connection: Connection, ids: Sequence[int] | None) -> dict[int, dict[str, str]]:
    query = select(tags.c.run_id, tags.c.name, tags.c.value)
    found: dict[int, dict[str, str]] = {}
    for part in [query] if ids is None else _in_parts(query, tags.c.run_id, ids):
        for run_id, name, value in connection.execute(part):
            found.setdefault(run_id, {})[name] = value
    return found


def _in_parts(query: Select[Any], column: Any, ids: Sequence[int]) -> Iterable[Select[Any]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield query.where(column.in_(ids[start : start + _AT_ONCE]))


class UnknownRun(UsageError):
    """No run has that id or hash."""


def run_id_of(connection: Connection, text: str) -> int:
    """Of an id, or of the beginning (four characters or more) of one run's hash.

    Raises:
        UnknownRun: there is none.
        UsageError: more than one.
    """
    if text.isascii() and text.isdigit() and len(text) < 16:
        found = connection.execute(select(runs.c.id).where(runs.c.id == int(text))).scalars().all()
        if found:
            return int(found[0])
    if len(text) >= 4 and set(text) <= set("0123456789abcdef"):
        ids = connection.execute(select(runs.c.id).where(runs.c.hash.like(f"{text}%")).limit(2)).scalars().all()
        if len(ids) > 1:
            raise UsageError(f"more than one run has a hash that begins with {text}: give more of it")
        if ids:
            return int(ids[0])
    raise UnknownRun(f"the history has no run {text}: expected an id of `tokenclock history list`, or its hash")


def metrics_of(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, MetricValue]]:
    """Run -> name -> number, names in order; runs without numbers are absent."""
    query = (
        select(metrics.c.run_id, metric_names.c.name, *_NUMBER)
        .join(metric_names, metric_names.c.id == metrics.c.name_id)
        .order_by(metrics.c.run_id, metric_names.c.name)
    )
    found: dict[int, dict[str, MetricValue]] = {}
    for part in _in_parts(query, metrics.c.run_id, ids):
        for run_id, name, *value in connection.execute(part):
            found.setdefault(run_id, {})[name] = MetricValue(*value)
    return found


def row_of(connection: Connection, run_id: int) -> RunRow:
    """The facts of a run that is there."""
    row = connection.execute(select(*_ROW).where(runs.c.id == run_id)).one()
    return _run(row, _tags(connection, [run_id]).get(run_id, {}))


def packed_content_of(connection: Connection, run_id: int) -> bytes | None:
    """The stored result as `RunRecord.content`; None where the run has none."""
    query = select(contents.c.content).join(runs, runs.c.content_hash == contents.c.hash).where(runs.c.id == run_id)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else bytes(found)


def content_of(connection: Connection, run_id: int) -> bytes | None:
    """The stored result as JSON; None where the run has none."""
    packed = packed_content_of(connection, run_id)
    return None if packed is None else zlib.decompress(packed)


def unit_of(connection: Connection, metric: str) -> str | None:
    """Of a metric; None where no run has it."""
    return connection.execute(select(metric_names.c.unit).where(metric_names.c.name == metric)).scalar_one_or_none()


def series_of(
    connection: Connection, metric: str, by: Sequence[str], where: Filter
) -> dict[tuple[str, ...], list[Point]]:
    """Group -> points in order of time; groups in order of their text."""
    facts = (runs.c.id, runs.c.created_us, metrics.c.value, metrics.c.low, metrics.c.high, runs.c.state)
    query = _values_query(connection, metric, facts, by, where)
    if query is None:
        return {}
    found: dict[tuple[Any, ...], list[Point]] = {}
    with _without_collector():
        for row in connection.execute(query.order_by(runs.c.created_us, runs.c.id)).all():
            point = Point(row[0], instant(row[1]), row[2], row[3], row[4], row[5])
            found.setdefault(tuple(row[6:]), []).append(point)
    return {tuple(map(text_of, group)): found[group] for group in sorted(found, key=_order)}


def lines_of(
    connection: Connection, metric: str, by: Sequence[str], where: Filter, last: int | None
) -> dict[tuple[str, ...], Line]:
    """Group -> its values; groups in order of their text. Of many runs in less than half the time of `series_of`.

    Sorted here: rows come nearly in order, and to sort them the server would use a file.
    """
    query = _values_query(connection, metric, (runs.c.created_us, runs.c.id, metrics.c.value), by, where)
    if query is None:
        return {}
    found: dict[tuple[Any, ...], list[tuple[int, int, float]]] = {}
    with _without_collector(), binary_rows(connection):
        for row in connection.execute(query).all():
            found.setdefault(row[3:], []).append(row[:3])
    lines = {}
    for group in sorted(found, key=_order):
        rows = sorted(found[group])[-last if last else None :]
        lines[tuple(map(text_of, group))] = Line(instant(rows[0][0]), instant(rows[-1][0]), [row[2] for row in rows])
    return lines


def _values_query(
    connection: Connection, metric: str, facts: Sequence[Any], by: Sequence[str], where: Filter
) -> Select[Any] | None:
    """Those columns of each run that has the metric, then its group; None where no run can have it."""
    columns = [_group_column(checked_column(name)) for name in by]
    name_id = connection.execute(select(metric_names.c.id).where(metric_names.c.name == metric)).scalar_one_or_none()
    if name_id is None:
        return None
    return (
        select(*facts, *columns)
        .select_from(metrics.join(runs, runs.c.id == metrics.c.run_id))
        .where(metrics.c.name_id == name_id, *conditions(where))
    )


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """For a hundred thousand points, none in a circle, the search for circles takes as long as the query."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _group_column(name: str) -> Any:
    if not name.startswith("tag."):
        return runs.c[name]
    tag = name.removeprefix("tag.")
    return select(tags.c.value).where(tags.c.run_id == runs.c.id, tags.c.name == tag).scalar_subquery()


def _order(group: tuple[Any, ...]) -> tuple[tuple[bool, float, str], ...]:
    """Numbers by size, texts by letters, what is not known first."""
    return tuple(
        (value is not None, value if isinstance(value, (int, float)) else 0.0, value if isinstance(value, str) else "")
        for value in group
    )


def names_of_metrics(connection: Connection, where: Filter) -> list[str]:
    """Of all metrics that a run of these has, in order."""
    of_runs = select(1).where(metrics.c.name_id == metric_names.c.id)
    if meant := conditions(where):
        of_runs = of_runs.where(runs.c.id == metrics.c.run_id, *meant)
    return list(connection.execute(select(metric_names.c.name).where(exists(of_runs)).order_by("name")).scalars())


def values_of(connection: Connection, column: str, where: Filter) -> list[str]:
    """What a column holds in these runs, each once, in order; empty text for runs that have nothing there."""
    name = checked_column(column)
    chosen = _group_column(name)
    found = connection.execute(select(chosen).where(*conditions(where)).select_from(runs).distinct())
    return [text_of(value) for (value,) in sorted((tuple(row) for row in found), key=_order)]
