"""Compares sides with the first of them, and says all there is to say as one JSON-ready mapping that reports render."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tokenclock import environment
from tokenclock.compare import ratio
from tokenclock.compare.alike import Pair, match
from tokenclock.compare.gather import Sides
from tokenclock.compare.run import Load, Run
from tokenclock.compare.verdict import ALPHA, FAMILY, KNOWN, POWER, Row, judge, rows_of
from tokenclock.errors import UsageError
from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.metrics.offline_definitions import OFFLINE_DEFINITIONS
from tokenclock.report.format import counted

__all__ = ["SCHEMA_VERSION", "compare"]

SCHEMA_VERSION = "1.0"


def compare(
    sides: Sides,
    *,
    baseline: str | None = None,
    metrics: Sequence[str] = (),
    min_effect: float = 0.02,
    force: bool = False,
) -> dict[str, Any]:
    """Compare every side with one of them.

    Args:
        sides: name -> runs, two or more.
        baseline: the side the others are compared with; None: the first.
        metrics: names such as ``tpot.p99`` and ``output_throughput``; empty: `FAMILY`.
        min_effect: relative difference below which nothing is called better or worse, >= 0.
        force: compare what is not the same work, and say so.

    Returns:
        ``schema_version``, ``kind`` (``comparison``), ``tool``, ``baseline``, ``sides``, ``curves`` (numbers of each
        side at each load), ``points`` (rows of each pair at each load), ``notes``, ``alpha``, ``power``,
        ``min_effect``. Values in ns and per second.

    Raises:
        UsageError: nothing is comparable, an unknown baseline or metric, or work that differs without ``force``.
    """
    base = baseline if baseline is not None else next(iter(sides))
    if base not in sides:
        raise UsageError(f"--baseline {base} is none of the sides: {', '.join(sides)}")
    _check_metrics(metrics)
    matched: list[tuple[str, Pair]] = []
    notes: list[str] = []
    for name, runs in sides.items():
        if name == base:
            continue
        pairs, lone = match((base, name), sides[base], runs, force=force)
        matched += [(name, pair) for pair in pairs]
        notes += [line for line in lone if line not in notes]
    rows = [rows_of(pair, metrics or FAMILY) for _, pair in matched]
    if metrics and not any(rows):
        raise UsageError(f"no side pair has {', '.join(metrics)}; {_had(sides)}")
    judged = judge([row for group in rows for row in group], min_effect)
    points, at = [], 0
    for (name, pair), group in zip(matched, rows, strict=True):
        points.append(_point(name, pair, judged[at : at + len(group)]))
        at += len(group)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "comparison",
        "tool": {"name": "tokenclock", "version": environment.tool_version()},
        "baseline": base,
        "alpha": ALPHA,
        "power": POWER,
        "min_effect": min_effect,
        "n_tested": sum(row.found is not None for row in judged),
        "notes": _notes(sides) + notes,
        "sides": [_side(name, runs) for name, runs in sides.items()],
        "curves": {name: _curve(runs, metrics) for name, runs in sides.items()},
        "points": points,
    }


def _check_metrics(metrics: Sequence[str]) -> None:
    from difflib import get_close_matches

    for name in metrics:
        if name not in KNOWN:
            close = get_close_matches(name, KNOWN, n=1)
            nearest = f" (did you mean {close[0]}?)" if close else ""
            raise UsageError(
                f"unknown metric {name}{nearest}; expected mean, p50, p90, p95 or p99 of a latency, such as tpot.p95, "
                "or a rate such as output_throughput"
            )


def _had(sides: Sides) -> str:
    names = sorted({name for runs in sides.values() for run in runs for name in run.estimates})
    return f"they have {', '.join(names)}"


def _point(name: str, pair: Pair, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "other": name,
        "load": _load(pair.load),
        "isl": pair.isl,
        "osl": pair.osl,
        "differences": list(pair.differences),
        "rows": [_row(row) for row in rows],
    }


def _load(load: Load) -> dict[str, Any]:
    rate = load.request_rate
    known = {**asdict(load), "request_rate": "inf" if rate == math.inf else rate}
    return {"text": str(load), **known}


def _row(row: Row) -> dict[str, Any]:
    definition = _definition(row.metric)
    interval = None if row.found is None else row.found.interval
    return {
        "metric": row.metric,
        "title": definition.title,
        "unit": definition.unit,
        "better": definition.better,
        "formula": definition.formula,
        "base": row.base,
        "other": row.other,
        "n_base": row.n_base,
        "n_other": row.n_other,
        "ratio": row.ratio,
        "speed_up": 1 / row.ratio if row.lower_is_better else row.ratio,
        "low": None if interval is None else interval[0],
        "high": None if interval is None else interval[1],
        "p_corrected": row.p_corrected,
        "verdict": row.verdict,
        "visible": row.visible,
        "method": row.method,
        "reason": row.reason,
    }


def _definition(metric: str) -> Any:
    tag = metric.partition(".")[0]
    return DEFINITIONS.get(tag) or OFFLINE_DEFINITIONS[tag]


def _side(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "name": name,
        "tools": sorted({run.tool for run in runs}),
        "models": sorted({run.model for run in runs if run.model}),
        "n_runs": len(runs),
        "files": sorted({str(run.path) for run in runs}),
        "verdicts": sorted({run.verdict for run in runs if run.verdict}),
    }


def _curve(runs: Sequence[Run], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """The numbers of a side at each load, in order of load."""
    pairs, _ = match(("", ""), runs, runs, force=True)
    return [
        {
            "load": _load(pair.load),
            "isl": pair.isl,
            "osl": pair.osl,
            "n_runs": len(pair.base),
            "values": _values(pair.base, metrics or FAMILY),
        }
        for pair in pairs
    ]


def _values(runs: Sequence[Run], metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for name in metrics:
        if all(name in run.estimates for run in runs):
            value, low, high = ratio.mean_with_interval([run.estimates[name] for run in runs])
            definition = _definition(name)
            found[name] = {"value": value, "low": low, "high": high, "unit": definition.unit, "title": definition.title}
            found[name] |= {"better": definition.better}
    return found


def _notes(sides: Mapping[str, Sequence[Run]]) -> list[str]:
    """What the reader of a verdict should know of the runs behind it."""
    notes = []
    for name, runs in sides.items():
        bad = [run for run in runs if run.verdict == "INVALID"]
        if bad:
            notes.append(f"{name}: {len(bad)} of {counted(len(runs), 'run')} are INVALID by their own quality checks")
        cut = sum(run.incomplete for run in runs)
        if cut:
            notes.append(f"{name}: {cut} of {counted(len(runs), 'run')} were interrupted")
        failed = sum(run.n_failed or 0 for run in runs)
        if failed:
            notes.append(f"{name}: {failed} requests failed, and failures have no latency")
        foreign = sorted({run.tool for run in runs} - {"tokenclock"})
        if foreign:
            notes.append(
                f"{name}: files of {' and '.join(foreign)} hold no requests and no hash of them: that the work was the "
                "same, and how sure the numbers are, cannot be told"
            )
    models = {name: sorted({run.model for run in runs if run.model}) for name, runs in sides.items()}
    if len({tuple(found) for found in models.values() if found}) > 1:
        notes.append("models: " + "; ".join(f"{name} {', '.join(found)}" for name, found in models.items() if found))
    return notes
