"""What became of one case: its rows, its repeats, and the commands that ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tokenclock.perftest.case import Case

__all__ = ["FAILED", "INVALID", "SKIPPED", "STATES", "VALID", "Cell", "MetricRow", "Outcome", "Ran", "worst"]

VALID, SKIPPED, INVALID, FAILED = "valid", "skipped", "invalid", "failed"
STATES = (VALID, SKIPPED, INVALID, FAILED)
"""States of rows and cases, from good to bad."""


def worst(states: list[str]) -> str:
    """The worst of some states; `valid` of none."""
    return max(states, key=STATES.index, default=VALID)


@dataclass(frozen=True)
class MetricRow:
    """One metric of a case: the median of its repeats.

    Args:
        metric_type: such as ``INFERENCE_TIME``.
        value: in `unit`; None where there is none, and `state` is not ``valid`` then.
        unit: of the metric type.
        command: as a shell would take it.
        started, ended: of the command of the last repeat, UTC.
        state: ``valid``; ``invalid``: measured, but the measurement's quality is INVALID; ``failed``: the command
            failed, or it ended without this value; ``skipped``: the target has no such value.
        reason: one line, empty when valid.
        network: canonical label with the lengths, the batch size or the client of this row.
        ungated: why the gate leaves it out although it has a value; empty: it does not.
    """

    metric_type: str
    value: float | None
    unit: str
    command: str
    started: datetime
    ended: datetime
    state: str
    reason: str = ""
    network: str = ""
    ungated: str = ""


@dataclass(frozen=True)
class Cell:
    """The rows of one combination that a command measures.

    Args:
        network: canonical label with the lengths, the batch size or the client of this combination.
        suffix: of its keys in `Outcome.repeats`; empty where the case has one combination only.
        metric_types: in the order of the rows.
        batch_size, lengths: which case of a `benchmark` result; 0 and (0, None) elsewhere.
    """

    network: str
    suffix: str
    metric_types: tuple[str, ...]
    batch_size: int = 0
    lengths: tuple[int, int | None] = (0, None)


@dataclass(frozen=True)
class Ran:
    """One command that has ended.

    Args:
        what: ``dataset``, ``build``, ``throughput``, ``benchmark``, ``serving``.
        argv: its words.
        repeat: from 1.
        exit_code: None: it was not started.
        started, ended: UTC.
        log: file of its standard output and error.
        result: JSON that it wrote; None where it writes none.
        cells: of a command that measures: which rows it fills.
        external: it is another tool, whose log is read.
        problem: one line, empty where it did its part.
    """

    what: str
    argv: tuple[str, ...]
    repeat: int
    exit_code: int | None
    started: datetime
    ended: datetime
    log: Path | None
    result: Path | None = None
    external: bool = False
    problem: str = ""
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of one case, after all its repeats.

    Args:
        case: which.
        state: ``valid``, ``invalid``, ``failed`` or ``skipped``.
        reason: one line, empty when valid.
        rows: one a metric, in the order of the flow.
        repeats: one mapping a repeat, empty where it failed: metric type -> value; where a case has several lengths,
            batch sizes or clients, the key names them too: ``INFERENCE_TIME[128,20]``.
        results: our result JSON of each repeat's commands.
        folder: everything of this case: data set, logs, results.
        ungated: keys of the repeats that the gate and the history leave out, and why.
        gpu_samples: the last one of each GPU, by the columns of gpu_monitoring.csv; empty without a GPU.
    """

    case: Case
    state: str
    reason: str
    rows: tuple[MetricRow, ...]
    repeats: tuple[Mapping[str, float], ...]
    results: tuple[Path, ...]
    folder: Path
    gpu_samples: tuple[Mapping[str, Any], ...] = ()
    ungated: Mapping[str, str] = field(default_factory=dict)
