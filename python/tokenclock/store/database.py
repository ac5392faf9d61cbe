"""The history: opened, added to, asked."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Any

from tokenclock.errors import TokenclockError

try:
    from sqlalchemy import Connection, Engine, false, func, select, text
except ImportError as error:
    raise TokenclockError("the history needs SQLAlchemy; pip install 'tokenclock[history]'") from error

from tokenclock.store import pinning, reading, tables
from tokenclock.store.conditions import conditions
from tokenclock.store.engine import connect, shown_place, told
from tokenclock.store.filter import Filter
from tokenclock.store.opening import LOCK, bring_up_to_date
from tokenclock.store.record import Added, MetricValue, Pin, RunRecord, RunRow
from tokenclock.store.series import Line, Point
from tokenclock.store.writing import add_records

__all__ = ["Database", "open_database"]

_ALL = Filter()


def open_database(url_or_path: str, *, create: bool = True, read_only: bool = False) -> Database:
    """Open a history and bring it to the newest schema; its data stay.

    Args:
        url_or_path: an SQLite file, or ``postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE``.
        create: make a history where there is none.
        read_only: never write. A file that cannot be written can be read without it too.

    Raises:
        UsageError: unreachable, not there, read-only where something must be written, no database, or of a newer
            schema.
    """
    place = str(url_or_path)
    with told(place):
        engine = connect(place, create=create, read_only=read_only)
        bring_up_to_date(engine, place, create=create, read_only=read_only)
    return Database(engine, place)


class Database:
    """A history; usable by several threads, each call being a transaction of its own.

    Every method raises UsageError, in one line, for what the database refuses.
    """

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def place(self) -> str:
        """File or URL, without a password."""
        return shown_place(self._place)

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with told(self._place), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        with (
            told(self._place),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            yield connection

    def check_writable(self) -> None:
        """Raise UsageError where runs and pins could not be added; changes nothing."""
        with self._writing() as connection:
            for table in (tables.runs, tables.tags, tables.metric_names, tables.metrics, tables.contents, tables.pins):
                nothing = select(*table.c).where(false())
                connection.execute(table.insert().from_select(list(table.c), nothing))

    def add(self, records: Iterable[RunRecord]) -> Added:
        """Add all that are not there yet, or nothing where one of them cannot be added."""
        with self._writing() as connection:
            return add_records(connection, records)

    def runs(self, where: Filter = _ALL, *, limit: int | None = None) -> list[RunRow]:
        """Newest first."""
        with self._reading() as connection:
            return reading.runs_that(connection, where, limit)

    def count(self, where: Filter = _ALL) -> int:
        """How many runs there are."""
        with self._reading() as connection:
            query = select(func.count()).select_from(tables.runs).where(*conditions(where))
            return int(connection.execute(query).scalar_one())

    def run(self, id_or_hash_prefix: str | int) -> RunRecord:
        """A run with its numbers and its content.

        Raises:
            UsageError: there is none, or more than one.
        """
        with self._reading() as connection:
            run_id = reading.run_id_of(connection, str(id_or_hash_prefix))
            row = reading.row_of(connection, run_id)
            of = reading.metrics_of(connection, [run_id]).get(run_id, {})
            content = reading.packed_content_of(connection, run_id)
        facts = {entry.name: getattr(row, entry.name) for entry in fields(RunRow)}
        return RunRecord(metrics=of, content=content, **facts)

    def metrics(self, run_id: int) -> dict[str, MetricValue]:
        """Name -> number of a run; empty where it has none."""
        return self.metrics_of([run_id]).get(run_id, {})

    def metrics_of(self, run_ids: Sequence[int]) -> dict[int, dict[str, MetricValue]]:
        """The same of many runs at once; runs without numbers are absent."""
        with self._reading() as connection:
            return reading.metrics_of(connection, run_ids)

    def content(self, run_id: int) -> dict[str, Any] | None:
        """The native result of a run, as `Result.from_dict` takes it; None where there is none."""
        with self._reading() as connection:
            found = reading.content_of(connection, run_id)
        return None if found is None else dict(json.loads(found))

    def with_result(self, where: Filter = _ALL) -> set[int]:
        """Ids of the runs whose result is stored."""
        with self._reading() as connection:
            query = select(tables.runs.c.id).where(tables.runs.c.content_hash.is_not(None), *conditions(where))
            return set(connection.execute(query).scalars())

    def series(
        self, metric: str, *, by: Sequence[str] = (), where: Filter = _ALL, last: int | None = None
    ) -> dict[tuple[str, ...], list[Point]]:
        """A metric over time.

        Args:
            metric: its name.
            by: columns (``COLUMNS`` of `store.filter`, or ``tag.NAME``) that runs are told apart by.
            where: which runs.
            last: only so many newest points of each group.

        Returns:
            text of each column of ``by`` -> points in order of time; empty where no run has the metric.
        """
        with self._reading() as connection:
            found = reading.series_of(connection, metric, by, where)
        return found if last is None else {group: points[-last:] for group, points in found.items() if last > 0}

    def lines(
        self, metric: str, *, by: Sequence[str] = (), where: Filter = _ALL, last: int | None = None
    ) -> dict[tuple[str, ...], Line]:
        """The values of `series` alone, in less than half the time. Args: as of `series`; ``last`` 1 or more."""
        with self._reading() as connection:
            return reading.lines_of(connection, metric, by, where, last)

    def unit(self, metric: str) -> str | None:
        """Of a metric; None where no run has it."""
        with self._reading() as connection:
            return reading.unit_of(connection, metric)

    def metric_names(self, where: Filter = _ALL) -> list[str]:
        """Of all metrics that one of these runs has, in order."""
        with self._reading() as connection:
            return reading.names_of_metrics(connection, where)

    def values(self, column: str, where: Filter = _ALL) -> list[str]:
        """What a column holds in these runs, each once, in order; empty text where a run has nothing there."""
        with self._reading() as connection:
            return reading.values_of(connection, column, where)

    def pin(self, pin: Pin) -> None:
        """Keep a baseline, in place of that with the same key and metric."""
        with self._writing() as connection:
            pinning.put_pin(connection, pin)

    def pins(self, where: Filter = _ALL) -> list[Pin]:
        """Pins whose key says what the filter asks for."""
        with self._reading() as connection:
            return pinning.pins_that(connection, where)

    def unpin(self, key: Mapping[str, str], metric: str | None = None) -> int:
        """Remove the pin of a metric (None: of all) with exactly this key; how many there were."""
        with self._writing() as connection:
            return pinning.remove_pins(connection, key, metric)
