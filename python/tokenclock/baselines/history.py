"""Earlier runs of one thing, as sessions: the repeats that one session made of a case count as one value."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tokenclock.store.filter import Filter, checked_column, text_of

if TYPE_CHECKING:
    from tokenclock.store.database import Database
    from tokenclock.store.record import Pin, RunRow
    from tokenclock.store.series import Point

__all__ = [
    "KEY_COLUMNS",
    "LAST",
    "RECENT",
    "SESSION_TAG",
    "VALID_STATES",
    "Session",
    "key_of",
    "keys_in",
    "pin_of",
    "sessions_in",
    "sessions_of",
]

KEY_COLUMNS = ("label", "gpu")
"""Runs are alike where these are; where there is no GPU, the host too."""
VALID_STATES = ("valid", "warn", "unknown")
"""States of runs that make a baseline; ``unknown`` is said of other tools' files, which have no verdict."""
LAST = 10
"""Sessions that a baseline is made of that is not pinned."""
RECENT = 20
"""Sessions that show what runs differ by, beside a pin."""
SESSION_TAG = "session"
"""Tag of runs that says which session made them."""


@dataclass(frozen=True)
class Session:
    """One session's value of a metric.

    Args:
        value: median of its repeats.
        created: start of the first, UTC.
        run_ids: of the runs.
        values: of its repeats, in the order of the runs; empty where they are not known.
    """

    value: float
    created: datetime
    run_ids: tuple[int, ...]
    values: tuple[float, ...] = ()

    @property
    def repeats(self) -> int:
        """How many runs are behind it."""
        return len(self.run_ids)


def key_of(run: RunRow, by: Sequence[str] = KEY_COLUMNS) -> dict[str, str]:
    """What runs share that are held against each other: column -> text.

    Args:
        run: one of them.
        by: columns, or ``tag.NAME``; ``gpu`` brings ``host`` where the run had no GPU.

    Raises:
        UsageError: a column that runs have not.
    """
    columns = list(dict.fromkeys(map(checked_column, by)))
    if "gpu" in columns and not run.gpu and "host" not in columns:
        columns.append("host")
    return {
        name: run.tags.get(name.removeprefix("tag."), "") if name.startswith("tag.") else text_of(getattr(run, name))
        for name in columns
    }


def keys_in(database: Database, where: Filter, by: Sequence[str] = KEY_COLUMNS) -> list[dict[str, str]]:
    """The keys of all valid runs that are meant, in alphabetical order."""
    rows = database.runs(replace(where, states=VALID_STATES))
    found = {tuple(key.items()): key for key in (key_of(run, by) for run in rows)}
    return [found[items] for items in sorted(found)]


def sessions_of(groups: Iterable[tuple[str, Sequence[Point]]]) -> list[Session]:
    """Sessions in order of time.

    Args:
        groups: name of a session and its runs; of the empty name each run is a session of its own.
    """
    found = []
    for name, points in groups:
        for part in [points] if name else [[point] for point in points]:
            values, ids = tuple(point.value for point in part), tuple(point.run_id for point in part)
            found.append(Session(statistics.median(values), min(point.created for point in part), ids, values))
    return sorted(found, key=lambda session: (session.created, session.run_ids))


def sessions_in(
    database: Database,
    key: Mapping[str, str],
    metric: str,
    *,
    not_after: datetime | None = None,
    before: datetime | None = None,
    without: str = "",
    last: int = RECENT,
) -> list[Session]:
    """The last sessions of a metric, of valid runs of that key, in order of time.

    Args:
        not_after: only runs that were started by then (UTC), which results say to the second; None: all.
        before: only runs that were started earlier (UTC); takes the place of ``not_after``.
        without: name of a session that is left out.
        last: how many, 1 or more.
    """
    until = before if not_after is None else not_after + timedelta(microseconds=1)
    where = Filter(key=key, states=VALID_STATES, until=until)
    found = database.series(metric, by=(f"tag.{SESSION_TAG}",), where=where)
    return sessions_of((name, points) for (name,), points in found.items() if not without or name != without)[-last:]


def pin_of(database: Database, key: Mapping[str, str], metric: str) -> Pin | None:
    """The pinned baseline of a metric, where there is one."""
    pins = [pin for pin in database.pins(Filter(key=key)) if dict(pin.key) == dict(key) and pin.metric == metric]
    return max(pins, key=lambda pin: pin.accepted) if pins else None
