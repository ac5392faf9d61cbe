"""Puts runs into the database: many in one transaction, each at most once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from tokenclock.errors import UsageError
from tokenclock.store.record import STATES, Added, RunRecord
from tokenclock.store.tables import contents, metric_names, metrics, microseconds, runs, tags

__all__ = ["add_records", "insert_missing"]

_AT_ONCE = 2_000
_FACTS = (
    "hash", "kind", "tool", "tool_version", "model", "label", "test", "gpu", "gpu_count", "host", "concurrency",
    "request_rate", "batch_size", "isl", "osl", "backend", "streaming", "state", "source",
)  # fmt: skip


def add_records(connection: Connection, records: Iterable[RunRecord]) -> Added:
    """Add what is not there yet.

    Args:
        connection: in a transaction that no other writer shares: ids are counted on from the highest.
        records: any number; they are taken a few thousand at a time.

    Raises:
        UsageError: an unknown state, a metric that is no finite number, or one in another unit than the history
            has it in.
    """
    next_id = int(connection.execute(select(func.coalesce(func.max(runs.c.id), 0))).scalar_one()) + 1
    names = {name: (id_, unit) for id_, name, unit in connection.execute(select(metric_names)).all()}
    new = known = 0
    for chunk in _chunks(records):
        fresh = _not_there(connection, chunk)
        known += len(chunk) - len(fresh)
        _name_metrics(connection, fresh, names)
        _insert(connection, fresh, next_id, names)
        next_id += len(fresh)
        new += len(fresh)
    return Added(new, known)


def insert_missing(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; one whose key is there already is left as it is."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def _chunks(records: Iterable[RunRecord]) -> Iterator[list[RunRecord]]:
    rest = iter(records)
    while chunk := list(islice(rest, _AT_ONCE)):
        yield chunk


def _not_there(connection: Connection, chunk: Sequence[RunRecord]) -> list[RunRecord]:
    hashes = [record.hash for record in chunk]
    there = set(connection.execute(select(runs.c.hash).where(runs.c.hash.in_(hashes))).scalars())
    fresh: dict[str, RunRecord] = {}
    for record in chunk:
        if record.state not in STATES:
            raise UsageError(f"expected a state of {', '.join(STATES)}, got {record.state} of {record.source}")
        if record.hash not in there:
            fresh.setdefault(record.hash, record)
    return list(fresh.values())


def _name_metrics(connection: Connection, fresh: Sequence[RunRecord], names: dict[str, tuple[int, str]]) -> None:
    next_id = max((id_ for id_, _ in names.values()), default=0) + 1
    rows = []
    for record in fresh:
        for name, metric in record.metrics.items():
            if not math.isfinite(metric.value):
                raise UsageError(f"{record.source}: {name} must be a finite number, got {metric.value}")
            id_, unit = names.setdefault(name, (next_id, metric.unit))
            if unit != metric.unit:
                raise UsageError(
                    f"{record.source}: {name} is in {metric.unit}, but the history has it in {unit}: give it another "
                    "name, or another --history"
                )
            if id_ == next_id:
                rows.append({"id": id_, "name": name, "unit": unit})
                next_id += 1
    insert_missing(connection, metric_names, rows)


def _insert(
    connection: Connection, fresh: Sequence[RunRecord], first_id: int, names: dict[str, tuple[int, str]]
) -> None:
    rows, of_tags, of_metrics, of_contents = [], [], [], {}
    for run_id, record in enumerate(fresh, first_id):
        row = {name: getattr(record, name) for name in _FACTS}
        content_hash = None if record.content is None else hashlib.sha256(record.content).hexdigest()
        rows.append(row | {"id": run_id, "created_us": microseconds(record.created), "content_hash": content_hash})
        of_tags += [{"run_id": run_id, "name": name, "value": value} for name, value in record.tags.items()]
        of_metrics += [
            {"name_id": names[name][0], "run_id": run_id, "value": of.value, "low": of.low, "high": of.high}
            for name, of in record.metrics.items()
        ]
        if content_hash is not None:
            of_contents[content_hash] = {"hash": content_hash, "content": record.content}
    insert_missing(connection, contents, list(of_contents.values()))
    insert_missing(connection, runs, rows)
    insert_missing(connection, tags, of_tags)
    insert_missing(connection, metrics, of_metrics)
