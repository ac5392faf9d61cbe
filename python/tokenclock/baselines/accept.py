"""Pins: a baseline that stays as it is, however often worse runs follow, until someone accepts another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tokenclock.baselines.decide import FEWEST_RUNS
from tokenclock.baselines.history import VALID_STATES, Session, sessions_in
from tokenclock.baselines.thresholds import TEST_METRICS, threshold_of
from tokenclock.compare.verdict import FAMILY
from tokenclock.errors import UsageError
from tokenclock.store.filter import Filter
from tokenclock.store.record import Pin

if TYPE_CHECKING:
    from tokenclock.store.database import Database

__all__ = ["accept", "gated_metrics", "judged_on", "pin_sessions"]


def gated_metrics(database: Database, key: Mapping[str, str]) -> list[str]:
    """What runs of a key are judged on: a performance test's metric types, else our latencies and rates."""
    return judged_on(database.metric_names(Filter(key=key, states=VALID_STATES)))


def judged_on(names: Sequence[str]) -> list[str]:
    """Of the metrics that runs have, those that they are judged on, and that share the false alarms of a case."""
    types = [name for name in names if name.partition("[")[0] in TEST_METRICS]
    return types or [name for name in FAMILY if name in names]


def accept(
    database: Database,
    key: Mapping[str, str],
    metrics: Sequence[str],
    *,
    last: int,
    reason: str,
    by: str,
    now: datetime,
) -> list[Pin]:
    """Make the last sessions the baseline of each metric.

    Args:
        key: of the runs.
        metrics: names; those without a value in the key's runs are passed over.
        last: how many sessions.
        reason, by: why and who, for `baseline show`.
        now: since when it holds (UTC).

    Raises:
        UsageError: a metric nobody can say the better way of, or fewer sessions than a baseline needs.
    """
    pins = []
    for metric in metrics:
        if threshold_of(metric) is None:
            raise UsageError(f"{metric} must be a metric that is lower or higher when it is better, and is none known")
        sessions = sessions_in(database, key, metric)[-last:]
        if not sessions:
            continue
        if len(sessions) < FEWEST_RUNS:
            said = ", ".join(f"{name} {text}" for name, text in key.items() if text)
            raise UsageError(
                f"a baseline needs {FEWEST_RUNS} valid runs, got {len(sessions)} of {metric} of {said}; run it again"
            )
        pins.append(pin_sessions(key, metric, sessions, reason=reason, by=by, now=now))
    for pin in pins:
        database.pin(pin)
    return pins


def pin_sessions(
    key: Mapping[str, str], metric: str, sessions: Sequence[Session], *, reason: str, by: str, now: datetime
) -> Pin:
    """A pin of those sessions, in order of time."""
    ids = tuple(run for session in sessions for run in session.run_ids)
    return Pin(dict(key), metric, tuple(session.value for session in sessions), ids, now, reason, by)
