"""`--fail-if`: conditions that end a comparison with exit code 3.

    conditions = clause { "and" clause }
    clause     = metric ( ">" | ">=" | "<" | "<=" ) amount [ "shown" ]
               | metric "is" ( "better" | "worse" | "no difference shown" | "not enough data" )
    metric     = "tpot.p99", "output_throughput", ...
    amount     = ("+" | "-") number "%"                      change of the other side against the baseline
               | number ( "ns" | "us" | "ms" | "s" | "/s" )  the other side's number itself

A change compares the numbers as measured; with ``shown`` the whole 95 % interval of the change must lie beyond.
A clause with ``shown``, or a verdict, cannot be judged at a load with not enough data: then the condition does not let
pass, unless another of its clauses does not hold there, or ``is not enough data`` is what was asked.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenclock.compare.verdict import BETTER, KNOWN, NO_DIFFERENCE, NOT_ENOUGH, WORSE
from tokenclock.errors import UsageError
from tokenclock.units import NS_PER_MS, NS_PER_S, NS_PER_US

__all__ = ["Clause", "missed", "parse"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_VERDICTS = (BETTER, WORSE, NO_DIFFERENCE, NOT_ENOUGH)
_UNITS = {"ns": ("ns", 1), "us": ("ns", NS_PER_US), "ms": ("ns", NS_PER_MS), "s": ("ns", NS_PER_S), "/s": ("1/s", 1)}
_METRICS = tuple(name for name in KNOWN if name != "goodput")
_CLAUSE = re.compile(
    r"(?P<metric>[a-z_0-9.]+)\s*(?:(?P<sign>>=|<=|>|<)\s*(?P<amount>[+-]?\d{1,15}(?:\.\d{1,15})?)\s*(?P<unit>%|ns|us|ms|s|/s)"
    r"(?P<shown>\s+shown)?|\s+is\s+(?P<verdict>[a-z ]+?))",
    re.ASCII,
)


@dataclass(frozen=True)
class Clause:
    """One clause: a comparison of a change or a number (``sign``, ``amount``, ``unit``, ``shown``), or a verdict."""

    metric: str
    sign: str = ""
    amount: float = 0.0
    unit: str = ""
    shown: bool = False
    verdict: str = ""

    def holds(self, row: Mapping[str, Any]) -> bool | None:
        """Whether a row of a comparison meets it; None where its data are not enough to say."""
        if self.verdict:
            undecided = row["verdict"] == NOT_ENOUGH and self.verdict != NOT_ENOUGH
            return None if undecided else bool(row["verdict"] == self.verdict)
        if self.unit != "%":
            return _OPERATORS[self.sign](row["other"], self.amount * _UNITS[self.unit][1])
        change = row["ratio"] - 1
        if self.shown:
            bound = row["low"] if self.sign in (">", ">=") else row["high"]
            if bound is None:
                return None
            change = bound - 1
        return _OPERATORS[self.sign](change, self.amount / 100)


def parse(text: str) -> tuple[Clause, ...]:
    """The clauses of one condition, all of which must hold.

    Raises:
        UsageError: it does not follow the grammar; says what does.
    """
    return tuple(_clause(part.strip(), text) for part in re.split(r"\s+and\s+", text.strip()))


def _clause(part: str, whole: str) -> Clause:
    match = _CLAUSE.fullmatch(part)
    if match is None:
        raise UsageError(
            f"--fail-if expects conditions such as 'tpot.p99 > +5%', 'ttft.p99 > 200ms' or 'itl.mean is worse', "
            f"got {whole[:80]!r}"
        )
    metric = match["metric"]
    if metric not in _METRICS:
        from difflib import get_close_matches

        close = get_close_matches(metric, _METRICS, n=1)
        raise UsageError(f"--fail-if: unknown metric {metric}" + (f" (did you mean {close[0]}?)" if close else ""))
    if match["verdict"]:
        if match["verdict"] not in _VERDICTS:
            raise UsageError(f"--fail-if: a verdict is one of {', '.join(_VERDICTS)}, got {match['verdict']!r}")
        return Clause(metric, verdict=match["verdict"])
    unit, amount = match["unit"], float(match["amount"])
    if unit == "%" and match["amount"][0] not in "+-":
        raise UsageError(f"--fail-if: a change has a sign, +{match['amount']}% or -{match['amount']}%; got {part!r}")
    if unit != "%" and (match["shown"] or amount < 0):
        raise UsageError(f"--fail-if: only a change in % can be shown, or negative; got {part!r}")
    is_rate = metric.endswith("throughput")
    if unit != "%" and (_UNITS[unit][0] == "1/s") != is_rate:
        raise UsageError(f"--fail-if: {metric} is in {'/s' if is_rate else 'ns, us, ms or s'}, got {part!r}")
    return Clause(metric, match["sign"], amount, unit, bool(match["shown"]))


def missed(conditions: Sequence[tuple[str, Sequence[Clause]]], points: Sequence[Mapping[str, Any]]) -> list[str]:
    """What met a condition, one line each; so is what could not be judged, at any of the points: it does not pass.

    Args:
        conditions: the text and the clauses of each.
        points: ``points`` of a comparison.
    """
    lines = []
    for text, clauses in conditions:
        names = list(dict.fromkeys(clause.metric for clause in clauses))
        if not any(all(name in _rows(point) for name in names) for point in points):
            lines.append(f"{text}: no point has {' and '.join(names)}")
            continue
        unjudged: dict[str, list[str]] = {}
        for point in points:
            rows, where = _rows(point), f"{point['other']} at {point['load']['text']}"
            held = [clause.holds(rows[clause.metric]) if clause.metric in rows else None for clause in clauses]
            if False in held:
                continue
            if None not in held:
                lines.append(f"{text}: {where} ({_said(rows, clauses)})")
                continue
            lacking = [name for name in names if name not in rows]
            why = f"no {' and '.join(lacking)} there" if lacking else NOT_ENOUGH
            unjudged.setdefault(why, []).append(where)
        lines += [f"{text}: cannot be judged of {', '.join(places)} ({why})" for why, places in unjudged.items()]
    return lines


def _rows(point: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {row["metric"]: row for row in point["rows"]}


def _said(rows: Mapping[str, Mapping[str, Any]], clauses: Sequence[Clause]) -> str:
    parts = []
    for clause in clauses:
        row = rows[clause.metric]
        change = row["ratio"] - 1
        parts.append(f"{clause.metric} {'+' if change >= 0 else '-'}{math.fabs(change):.1%}, {row['verdict']}")
    return "; ".join(parts)
