"""The gate of one case: its metrics against the history, more repeats where they would settle it, and the run added.

A replayed run is held to what the history had before it, and changes nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from tokenclock.baselines.accept import pin_sessions
from tokenclock.baselines.decide import ALPHA, FEWEST_RUNS, REGRESSION, Decision
from tokenclock.baselines.held import hold
from tokenclock.baselines.history import LAST, SESSION_TAG, key_of, pin_of, sessions_in
from tokenclock.baselines.thresholds import shared_alpha, threshold_of
from tokenclock.perftest.gate_records import record_of_failure, records_of_case
from tokenclock.store.database import open_database

if TYPE_CHECKING:
    from tokenclock.perftest.outcome import Outcome
    from tokenclock.perftest.settings import Settings
    from tokenclock.store.database import Database
    from tokenclock.store.record import RunRecord

__all__ = ["Gated", "accept_command", "gate_case"]

PINNED_BY = "the gate"


class Gated(NamedTuple):
    """What the gate said of a case.

    Args:
        decisions: one a metric, in the order of the outcome.
        accept: the command that makes the next three sessions the baseline; empty where there is no regression.
    """

    decisions: list[Decision]
    accept: str = ""


def gate_case(outcome: Outcome, settings: Settings, again: Callable[[], Mapping[str, float]] | None) -> Gated:
    """Judge a case and add it to the history.

    Each metric that was measured and has a known direction is held against its pin, or the last valid sessions of the
    same label and GPU; percentiles with too few samples are left out. They share the 5 % of false alarms. The first
    regression pins what the run was held against.

    Args:
        outcome: of the case. One that is not valid is added with its state, and not judged.
        settings: ``history`` names the database; without one nothing is done. ``max_repeats`` bounds the repeats.
            With ``replay_dir`` the run is held to what the history had before it, and the history stays as it is.
        again: makes one more repeat and returns its values by metric type; None: it cannot be repeated.

    Raises:
        UsageError: the database cannot be used.
    """
    if settings.history is None:
        return Gated([])
    if settings.replay_dir is not None:
        return _replayed(outcome, settings)
    with open_database(settings.history) as database:
        records = records_of_case(outcome, _gated(outcome, outcome.repeats)) if outcome.state == "valid" else []
        if not records:
            database.add([record_of_failure(outcome)])
            return Gated([])
        repeats = [values for values in _gated(outcome, outcome.repeats) if values]
        judge = _Judge(database, records[0], list(repeats[0]), max(settings.max_repeats, len(repeats)))
        decisions = judge.decide(repeats)
        while again is not None and (more := max((one.more_repeats for one in decisions), default=0)) > 0:
            made = _gated(outcome, [again() for _ in range(more)])
            repeats += [values for values in made if values]
            decisions = judge.decide(repeats)
            if not all(made):  # it fails now
                break
        database.add(records_of_case(outcome, repeats))
        judge.pin(decisions)
        return _told(decisions, database, judge)


def _gated(outcome: Outcome, repeats: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The repeats without what is not judged: percentiles with too few samples, which would be maxima."""
    return [{name: value for name, value in values.items() if name not in outcome.ungated} for values in repeats]


def _replayed(outcome: Outcome, settings: Settings) -> Gated:
    """The decisions on a stored run, from the history as it was before that run; nothing is added or pinned."""
    assert settings.history is not None
    repeats = [values for values in _gated(outcome, outcome.repeats) if values]
    records = records_of_case(outcome, _gated(outcome, outcome.repeats)) if outcome.state == "valid" else []
    if not records:
        return Gated([])
    with open_database(settings.history, create=False, read_only=True) as database:
        judge = _Judge(database, records[0], list(repeats[0]), max(settings.max_repeats, len(repeats)), is_replay=True)
        return _told(judge.decide(repeats), database, judge)


def _told(decisions: list[Decision], database: Database, judge: _Judge) -> Gated:
    is_worse = any(one.verdict == REGRESSION for one in decisions)
    return Gated(decisions, accept_command(database.place, judge.key) if is_worse else "")


def accept_command(history: str, key: Mapping[str, str]) -> str:
    """The words that make the last three sessions of a key the baseline, for a shell; a reason is to be filled in.

    Three are the fewest that make one. More would mix levels: those before the regression, or the mishap that it was.

    Args:
        history: path or URL, without a password.
        key: of the runs; columns that say nothing are left out.
    """
    named = [word for name, text in key.items() if text for word in (f"--{name}", text)]
    last = ["--last", str(FEWEST_RUNS)]
    return shlex.join(["tokenclock", "baseline", "accept", "--history", history, *named, *last, "--reason", "WHY"])


class _Judge:
    """The history of a case's key, read once."""

    def __init__(
        self,
        database: Database,
        run: RunRecord,
        metrics: Sequence[str],
        max_repeats: int,
        *,
        is_replay: bool = False,
    ) -> None:
        self._database, self._max_repeats = database, max_repeats
        self.key = key_of(run)
        """What the case's runs have in common."""
        thresholds = {name: threshold_of(name) for name in metrics}
        self._thresholds = {name: found for name, found in thresholds.items() if found is not None}
        self._alpha = shared_alpha(list(self._thresholds), ALPHA)
        session = run.tags[SESSION_TAG]
        not_after, before = (None, run.created) if is_replay else (run.created, None)
        self._sessions = {
            name: sessions_in(database, self.key, name, not_after=not_after, before=before, without=session)
            for name in self._thresholds
        }
        pins = {name: pin_of(database, self.key, name) for name in self._thresholds}
        self._pins = {  # of a replayed run: one that was set since, by this run's own live verdict too, was not there
            name: None if is_replay and pin is not None and pin.accepted > run.created else pin
            for name, pin in pins.items()
        }

    def decide(self, repeats: Sequence[Mapping[str, float]]) -> list[Decision]:
        """One decision a metric."""
        return [
            hold(
                name, [values[name] for values in repeats if name in values], self._sessions[name], self._pins[name],
                threshold, alpha=self._alpha, max_repeats=self._max_repeats,
            )
            for name, threshold in self._thresholds.items()
        ]  # fmt: skip

    def pin(self, decisions: Sequence[Decision]) -> None:
        """Pin what the first regressions were held against."""
        now = datetime.now(timezone.utc)
        for one in decisions:
            if one.verdict == REGRESSION and self._pins[one.metric] is None:
                reason = f"regression of {abs((one.ratio or 1) - 1):.1%} seen, not accepted yet"
                sessions = self._sessions[one.metric][-LAST:]
                self._database.pin(pin_sessions(self.key, one.metric, sessions, reason=reason, by=PINNED_BY, now=now))
