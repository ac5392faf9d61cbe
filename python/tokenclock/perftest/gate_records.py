"""A case's repeats as runs of the history: each with its metric types, and the result that it came from."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenclock.baselines.history import SESSION_TAG
from tokenclock.baselines.thresholds import TEST_METRICS
from tokenclock.errors import TokenclockError
from tokenclock.readers.read import read_file
from tokenclock.store.from_result import records_of
from tokenclock.store.record import MetricValue, RunRecord, hash_of

if TYPE_CHECKING:
    from tokenclock.perftest.outcome import Outcome

__all__ = ["record_of_failure", "records_of_case"]

KIND = "perftest"
_REPEAT_TAG = "repeat"


def records_of_case(outcome: Outcome, repeats: Sequence[Mapping[str, float]]) -> list[RunRecord]:
    """One run a repeat, all of one session.

    Args:
        outcome: a valid one.
        repeats: values by metric type, those of the outcome first; an empty one failed, and is left out.
    """
    measured = [(i, values) for i, values in enumerate(repeats) if values]
    records = [_record(outcome, i, values) for i, values in measured]
    session = records[0].hash[:16] if records else ""
    return [
        replace(record, tags={**record.tags, SESSION_TAG: session, _REPEAT_TAG: str(i + 1)})
        for (i, _), record in zip(measured, records, strict=True)
    ]


def _record(outcome: Outcome, index: int, values: Mapping[str, float]) -> RunRecord:
    paths = _results(outcome, index)
    extra = {name: MetricValue(float(value), None, None, _unit(name)) for name, value in values.items()}
    found: list[RunRecord] = []
    for path in paths:
        try:
            for one in read_file(path):
                found += records_of(one, label=outcome.case.canonical, test=outcome.case.name, extra_metrics=extra)
        except TokenclockError:
            continue
    facts: dict[str, Any] = {"label": outcome.case.canonical, "test": outcome.case.name, "kind": KIND}
    if found:
        facts["state"] = "valid" if found[0].state == "unknown" else found[0].state
        facts["gpu"] = found[0].gpu or _gpu()
        facts["host"] = found[0].host or platform.node()
    if len(found) == 1:
        return replace(found[0], **facts)
    told = {"case": outcome.case.canonical, "repeat": index, "started": _started(outcome), "values": dict(values)}
    if found:  # several commands measured: their numbers are the metric types, and none of them is the run
        return replace(
            found[0], hash=hash_of({**told, "of": [one.hash for one in found]}), metrics=extra, content=None, **facts
        )
    return RunRecord(
        hash=hash_of(told), created=outcome.rows[0].started, metrics=extra, host=platform.node(), gpu=_gpu(),
        source=str(outcome.folder), tool="tokenclock", state="valid", **facts,
    )  # fmt: skip


def _results(outcome: Outcome, index: int) -> list[Path]:
    """The result files of one repeat: those of the outcome, or where a later repeat has put the same ones."""
    n_repeats = max(1, len(outcome.repeats))
    if len(outcome.results) % n_repeats:
        return []
    each = len(outcome.results) // n_repeats
    if index < n_repeats:
        return list(outcome.results[index * each : (index + 1) * each])
    first = [path for path in outcome.results[:each] if path.is_relative_to(outcome.folder)]
    later = [outcome.folder / f"repeat-{index + 1}" / path.relative_to(outcome.folder) for path in first]
    return [path for path in later if path.exists()]


def record_of_failure(outcome: Outcome) -> RunRecord:
    """What is kept of a case that has no valid numbers: its state, so that a trend shows the gap."""
    from datetime import datetime, timezone

    created = outcome.rows[0].started if outcome.rows else datetime.now(timezone.utc)
    told = {"case": outcome.case.canonical, "started": created.isoformat(), "state": outcome.state}
    return RunRecord(
        hash=hash_of(told), created=created, kind=KIND, tool="tokenclock", label=outcome.case.canonical,
        test=outcome.case.name, host=platform.node(), gpu=_gpu(), state=outcome.state, source=str(outcome.folder),
        tags={"reason": outcome.reason},
    )  # fmt: skip


def _started(outcome: Outcome) -> str:
    return outcome.rows[0].started.isoformat() if outcome.rows else ""


def _unit(name: str) -> str:
    found = TEST_METRICS.get(name.partition("[")[0])
    return "" if found is None else found[0]


def _gpu() -> str:
    """Names of the GPUs that this process sees, as the history writes them; empty without one."""
    from tokenclock.device.facts import collect_facts

    visible = (collect_facts() or {}).get("visible") or ()
    return ", ".join(dict.fromkeys(str(gpu.get("name")) for gpu in visible))
