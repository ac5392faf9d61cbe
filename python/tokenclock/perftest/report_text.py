"""A session as Markdown: verdicts of the gate, states, numbers, and where each run's page is."""

from __future__ import annotations

from collections.abc import Sequence

from tokenclock.perftest.report_entry import (
    IF_MEANT,
    Entry,
    Session,
    change,
    compared_value,
    headline,
    shown_state,
    shown_value,
    trend,
    visible,
    worst_verdict,
)

__all__ = ["render"]

_DECIDED = ("case", "metric", "verdict", "value", "baseline", "change", "trend", "visible from", "runs before", "why")


def render(session: Session) -> str:
    """The whole text; figures are medians of a case's repeats."""
    lines = ["# Performance tests", "", f"{headline(session)}.", ""]
    where = f"{session.host}, {session.started:%Y-%m-%d %H:%M:%S} to {session.ended:%H:%M:%S} UTC"
    lines += [where + (f", prefix {session.prefix}" if session.prefix else ""), ""]
    cases = [
        (_case(entry), entry.outcome.state, worst_verdict(entry), str(len(entry.outcome.repeats)), entry.outcome.reason)
        for entry in session.entries
    ]
    lines += _table(("case", "state", "gate", "repeats", "reason"), cases)
    decided = [
        (
            entry.outcome.case.canonical,
            decision.metric,
            decision.verdict,
            compared_value(entry, decision, decision.value),
            compared_value(entry, decision, decision.baseline),
            change(decision),
            trend(decision),
            visible(decision),
            str(decision.n_history),
            decision.reason,
        )
        for entry in session.entries
        for decision in entry.decisions
    ]
    if decided:
        lines += ["## Against the baseline", ""]
        lines += _table(_DECIDED, decided)
        accepting = [entry.accept for entry in session.entries if entry.accept]
        if accepting:
            lines += [f"Regressions: {IF_MEANT}:", "", "```", *accepting, "```", ""]
    rows = [
        (row.network or entry.outcome.case.canonical, row.metric_type, shown_value(row), shown_state(row))
        for entry in session.entries
        for row in entry.outcome.rows
    ]
    if rows:
        lines += ["## Numbers", "", *_table(("network", "metric", "median", "state"), rows)]
    return "\n".join(lines)


def _case(entry: Entry) -> str:
    name = _safe(entry.outcome.case.canonical)
    return name if entry.page is None else f"[{name}]({entry.page})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(head), "|" + "|".join([":--"] * len(head)) + "|", *(_line(row) for row in rows), ""]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell if cell.startswith("[") else _safe(cell) for cell in cells) + " |"


def _safe(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
