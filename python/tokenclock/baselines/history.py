"""Earlier runs of one thing, as sessions: the repeats that one session made of a case count as one value."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.store.database import Database, RunRow
    from tokenclock.store.series import Point

__all__ = ["KEY_COLUMNS", "LAST", "RECENT", "SESSION_TAG", "VALID_STATES", "Session", "key_of", "sessions_of"]

KEY_COLUMNS = ("label", "gpu")
"""Runs are alike where these are; where there is no GPU, the host too."""
VALID_STATES = ("valid", "warn", "unknown")
"""States of runs that make a baseline; `unknown` is said of other tools' files, which have no verdict."""
LAST = 10
"""Sessions that a baseline is made of that is not pinned."""
RECENT = 20
"""Sessions that show what runs differ by, beside a pin."""
SESSION_TAG = "session"
"""Tag of runs that says which session made them."""
_KEYS = ("label", "test", "model", "kind", "tool", "tool_version", "gpu", "gpu_count", "host", "backend", "concurrency",
         "request_rate", "batch_size", "isl", "osl", "streaming")  # fmt: skip


@dataclass(frozen=True)
class Session:
    """One session's value of a metric.

    Args:
        value: median of its repeats.
        created: of the first, UTC.
        run_ids: of the runs.
    """

    value: float
    created: datetime
    run_ids: tuple[int, ...]

    @property
    def repeats(self) -> int:
        """How many runs are behind it."""
        return len(self.run_ids)


def key_of(run: RunRow, by: Sequence[str] = KEY_COLUMNS) -> dict[str, str]:
    """What runs share that are held against each other: column -> text.

    Args:
        run: one of them.
        by: columns; ``gpu`` brings ``host`` where the run had no GPU.

    Raises:
        UsageError: a column that runs have not.
    """
    unknown = next((name for name in by if name not in _KEYS), None)
    if unknown is not None:
        raise UsageError(f"runs can be told apart by {', '.join(_KEYS)}; got {unknown}")
    columns = list(dict.fromkeys(by))
    if "gpu" in columns and not run.gpu and "host" not in columns:
        columns.append("host")
    return {name: _text(getattr(run, name)) for name in columns}


def _text(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def sessions_of(points: Iterable[Point], session_of: Mapping[int, str]) -> list[Session]:
    """Points gathered by session, in order of time; a run without one is a session of its own.

    Args:
        points: runs of one key.
        session_of: id of a run -> name of its session; runs that are not in it have none.
    """
    gathered: dict[object, list[Point]] = {}
    for point in points:
        gathered.setdefault(session_of.get(point.run_id) or point.run_id, []).append(point)
    found = [
        Session(
            statistics.median(point.value for point in group),
            min(point.created for point in group),
            tuple(point.run_id for point in group),
        )
        for group in gathered.values()
    ]
    return sorted(found, key=lambda session: session.created)


def sessions_in(
    database: Database, key: Mapping[str, str], metrics: Sequence[str], *, before: datetime | None = None
) -> dict[str, list[Session]]:
    """The last RECENT sessions of each metric, valid ones of that key, in order of time.

    Args:
        before: only runs that were made earlier (UTC); None: all.
    """
    from tokenclock.store.filter import Filter

    where = Filter(key=key, states=VALID_STATES)
    session_of = {run.id: run.tags.get(SESSION_TAG, "") for run in database.runs(where, limit=_MOST_RUNS)}
    found = {}
    for metric in metrics:
        points = [
            point
            for group in database.series(metric, where=where, last=_MOST_RUNS).values()
            for point in group
            if before is None or point.created < before
        ]
        found[metric] = sessions_of(points, session_of)[-RECENT:]
    return found


_MOST_RUNS = 400
