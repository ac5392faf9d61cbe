"""What both reports of a session show of a case, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tokenclock.perftest.outcome import FAILED, INVALID, SKIPPED, STATES, VALID, MetricRow, Outcome
from tokenclock.store.words import sparkline

__all__ = [
    "IF_MEANT",
    "VERDICTS",
    "Decided",
    "Entry",
    "Session",
    "change",
    "compared_value",
    "counts",
    "headline",
    "shown_state",
    "shown_value",
    "trend",
    "visible",
    "worst_verdict",
]

VERDICTS = ("regression", "too noisy", "no baseline", "no difference shown", "improvement")
"""Of the gate, those that ask for something first."""


IF_MEANT = "if it is meant to stay, or was a false alarm: after three more runs make these the baseline"
"""Said before the command that accepts."""


class Decided(Protocol):
    """What a report shows of a decision of the gate; `ratio`, `low` and `high` are value / baseline."""

    @property
    def metric(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def value(self) -> float | None: ...
    @property
    def baseline(self) -> float | None: ...
    @property
    def ratio(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def n_history(self) -> int: ...
    @property
    def smallest_seen(self) -> float | None: ...
    @property
    def trend(self) -> Sequence[float]: ...


@dataclass(frozen=True)
class Entry:
    """One case of a session.

    Args:
        outcome: what became of it.
        decisions: of the gate.
        page: of its results, relative to the report; None: it has none.
        accept: the command that makes three more sessions the baseline; empty without a regression.
    """

    outcome: Outcome
    decisions: Sequence[Decided] = ()
    page: str | None = None
    accept: str = ""


@dataclass(frozen=True)
class Session:
    """All cases of a session, from `started` to `ended` (UTC), and the words it was started with."""

    entries: Sequence[Entry]
    started: datetime
    ended: datetime
    host: str
    prefix: str = ""


def counts(session: Session) -> dict[str, int]:
    """State -> number of cases, those of no case left out; then verdict -> number of metrics likewise."""
    states = [entry.outcome.state for entry in session.entries]
    verdicts = [decision.verdict for entry in session.entries for decision in entry.decisions]
    found = {state: states.count(state) for state in (VALID, INVALID, FAILED, SKIPPED)}
    found |= {verdict: verdicts.count(verdict) for verdict in VERDICTS}
    return {name: n for name, n in found.items() if n}


def headline(session: Session) -> str:
    """The session in one line."""
    n = len(session.entries)
    found = counts(session)
    states = ", ".join(f"{found[state]} {state}" for state in STATES if state in found)
    verdicts = ", ".join(f"{found[name]} {name}" for name in VERDICTS if name in found)
    gate = f"; gate, by metric: {verdicts}" if verdicts else ""
    return f"{n} case{'' if n == 1 else 's'}: {states or 'none ran'}{gate}"


def worst_verdict(entry: Entry) -> str:
    """The verdict of the gate that asks most; empty where the gate did not decide."""
    found = [decision.verdict for decision in entry.decisions]
    return min(found, key=lambda name: VERDICTS.index(name) if name in VERDICTS else -1, default="")


def shown_value(row: MetricRow) -> str:
    """Value and unit; ``n/a`` where there is none."""
    if row.value is None:
        return "n/a"
    return f"{row.value:.5g} {row.unit}"


def shown_state(row: MetricRow) -> str:
    """State, and why the gate leaves the row out where it does."""
    return f"{row.state}, not gated: {row.ungated}" if row.ungated else row.state


def change(decision: Decided) -> str:
    """Change against the baseline in per cent, with its interval."""
    if decision.ratio is None:
        return ""
    text = f"{_percent(decision.ratio)} %"
    if decision.low is not None and decision.high is not None:
        text += f" [{_percent(decision.low)}, {_percent(decision.high)}]"
    return text


def compared_value(entry: Entry, decision: Decided, value: float | None) -> str:
    """A value or baseline of a decision, with the unit that the case's rows of that metric have."""
    if value is None:
        return ""
    metric_type = decision.metric.partition("[")[0]
    unit = next((row.unit for row in entry.outcome.rows if row.metric_type == metric_type), "")
    return f"{value:.5g} {unit}".rstrip()


def visible(decision: Decided) -> str:
    """The smallest change for the worse that would have been called."""
    return "" if decision.smallest_seen is None else f"{decision.smallest_seen * 100:.1f} %"


def trend(decision: Decided) -> str:
    """One character for each of the last sessions, low to high, this one's at the end."""
    return sparkline(decision.trend, width=20) if len(decision.trend) > 1 else ""


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f}"
