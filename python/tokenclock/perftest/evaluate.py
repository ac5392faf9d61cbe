"""From the commands that ran to the case's rows: values read, repeats joined, states given. Starts nothing."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenclock.perftest import metrics
from tokenclock.perftest.case import Case
from tokenclock.perftest.label import Label
from tokenclock.perftest.log_values import read_values
from tokenclock.perftest.outcome import FAILED, INVALID, SKIPPED, VALID, Cell, MetricRow, Outcome, Ran, worst

__all__ = ["evaluate"]


@dataclass(frozen=True)
class _Value:
    """One metric of one repeat."""

    value: float | None
    state: str
    reason: str
    ungated: str = ""
    unit: str | None = None  # None: that of the metric in the original's log


def evaluate(case: Case, folder: Path, commands: Sequence[Ran]) -> Outcome:
    """The outcome of a case.

    Args:
        case: which.
        folder: of the case.
        commands: all of all repeats, those that did not run too, in order.
    """
    found: dict[tuple[str, str], list[tuple[Ran, Cell, str, _Value]]] = {}
    repeats: dict[int, dict[str, float]] = {}
    ungated: dict[str, str] = {}
    for ran in commands:
        for cell, name, value in _values(ran):
            found.setdefault((cell.network, name), []).append((ran, cell, name, value))
            if value.value is not None:
                repeats.setdefault(ran.repeat, {})[name + cell.suffix] = value.value
            if value.ungated:
                ungated[name + cell.suffix] = value.ungated
    rows = [_row(entries) for entries in found.values()]
    rows = [*_no_build(case, commands), *rows]
    problems = [ran.problem for ran in commands if ran.problem]
    state, reason = _state(rows, problems)
    results = tuple(ran.result for ran in commands if ran.result is not None and ran.result.is_file())
    n_repeats = max((ran.repeat for ran in commands), default=0)
    ordered = tuple(repeats.get(number, {}) for number in range(1, n_repeats + 1))
    return Outcome(case, state, reason, tuple(rows), ordered, results, folder, ungated=ungated)


def _values(ran: Ran) -> list[tuple[Cell, str, _Value]]:
    names = list(dict.fromkeys(name for cell in ran.cells for name in cell.metric_types))
    if not names:
        return []
    if ran.problem:
        return [(cell, name, _Value(None, FAILED, ran.problem)) for cell in ran.cells for name in cell.metric_types]
    if ran.external:
        return _of_log(ran, names)
    content, problem = _content(ran.result)
    if content is None:
        return [(cell, name, _Value(None, FAILED, problem)) for cell in ran.cells for name in cell.metric_types]
    verdict = _invalid_because(content)
    return [
        (cell, name, _of_json(ran, cell, name, content, verdict)) for cell in ran.cells for name in cell.metric_types
    ]


def _of_log(ran: Ran, names: Sequence[str]) -> list[tuple[Cell, str, _Value]]:
    try:
        assert ran.log is not None
        with open(ran.log, encoding="utf-8", errors="replace") as lines:
            log = read_values(lines, ran.what, names)
    except OSError as error:
        reason = f"cannot read {ran.log}: {error.strerror or error}"
        return [(cell, name, _Value(None, FAILED, reason)) for cell in ran.cells for name in cell.metric_types]
    values = {name: _Value(value, VALID, "") for name, value in log.values.items()}
    for name, why in log.missing.items():
        may_lack = metrics.METRICS[name].is_optional and name != "BUILD_TIME"
        values[name] = _Value(None, SKIPPED if may_lack else FAILED, f"{name}: {why}")
    return [(cell, name, values[name]) for cell in ran.cells for name in cell.metric_types]


def _of_json(ran: Ran, cell: Cell, name: str, content: Mapping[str, Any], verdict: str) -> _Value:
    value = metrics.value_in_result(ran.what, name, content, batch_size=cell.batch_size, lengths=cell.lengths)
    if value is not None:
        few = metrics.too_few_samples(ran.what, name, content)
        unit = metrics.unit_in_result(ran.what, name, content)
        return _Value(value, INVALID if verdict else VALID, verdict, few, unit)
    if metrics.METRICS[name].is_optional:
        return _Value(None, SKIPPED, f"{name}: this target tells no such value")
    status, reason = metrics.case_status(content, cell.batch_size, cell.lengths)
    if status in ("skipped", "failed"):
        return _Value(None, SKIPPED if status == "skipped" else FAILED, f"{name}: {reason}")
    return _Value(None, FAILED, f"{name}: the result {ran.result} has no such value")


def _content(path: Path | None) -> tuple[dict[str, Any] | None, str]:
    if path is None:
        return None, "the command writes no result"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return None, f"cannot read {path}: {error.strerror or error}"
    except ValueError as error:
        return None, f"{path} is no whole JSON: {error}"
    return (found, "") if isinstance(found, dict) else (None, f"{path} holds no result")


def _invalid_because(content: Mapping[str, Any]) -> str:
    """Why the measurement cannot be trusted, in one line; empty where it can."""
    quality = content.get("tokenclock", content).get("quality", {})
    if quality.get("verdict") != "INVALID":
        return ""
    reasons = [check["reason"] for check in quality.get("checks", ()) if check.get("status") == "invalid"]
    return "measurement quality INVALID: " + ("; ".join(filter(None, reasons)) or "see its report")


def _row(entries: Sequence[tuple[Ran, Cell, str, _Value]]) -> MetricRow:
    ran, cell, name, _ = entries[-1]
    values = [value for *_, value in entries]
    state = worst([value.state for value in values])
    measured = [value.value for value in values if value.value is not None]
    reason = next((value.reason for value in values if value.state == state), "")
    return MetricRow(
        metric_type=name,
        value=statistics.median(measured) if measured and state != FAILED else None,
        unit=next((value.unit for value in values if value.unit is not None), _unit(ran, name)),
        command=shlex.join(ran.argv),
        started=ran.started,
        ended=ran.ended,
        state=state,
        reason=reason,
        network=cell.network,
        ungated=next((value.ungated for value in values if value.ungated), ""),
    )


def _unit(ran: Ran, name: str) -> str:
    per_gpu = ran.what == metrics.THROUGHPUT and name == "TOKEN_THROUGHPUT"
    return metrics.METRICS[name].unit + ("/GPU" if per_gpu else "")


def _no_build(case: Case, commands: Sequence[Ran]) -> list[MetricRow]:
    """The row of BUILD_TIME where nothing was built: there, and without a value."""
    is_bench = isinstance(case.label, Label) and case.label.runtime == "bench"
    if not is_bench or not commands or any(ran.what == metrics.BUILD for ran in commands):
        return []
    assert isinstance(case.label, Label)
    at = commands[0].started
    why = "BUILD_TIME: no engine is built for this case"
    return [MetricRow("BUILD_TIME", None, "s", "", at, at, SKIPPED, why, case.label.canonical())]


def _state(rows: Sequence[MetricRow], problems: Sequence[str]) -> tuple[str, str]:
    if problems:
        return FAILED, problems[0]
    for state in (FAILED, INVALID):
        if hit := next((row for row in rows if row.state == state), None):
            return state, hit.reason
    if any(row.state == VALID for row in rows):
        return VALID, ""
    return SKIPPED, rows[0].reason if rows else "the case has no command that measures"
