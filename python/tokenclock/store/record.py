"""One run as the history keeps it: its facts, its numbers, and the result it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["STATES", "Added", "MetricValue", "Pin", "RunRecord", "RunRow", "hash_of"]

STATES = ("valid", "warn", "invalid", "incomplete", "failed", "skipped", "unknown")
"""How far a run's numbers can be trusted; ``warn``: valid with warnings, ``unknown``: other tools' files."""


@dataclass(frozen=True)
class MetricValue:
    """A number in its unit (``ns``, ``1/s``, ...) with its 95 % bounds; None where there are none."""

    value: float
    low: float | None
    high: float | None
    unit: str


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """The facts of a run. Text is empty, and a number None, where it is not known.

    Args:
        hash: `hash_of` what was measured: the same run has the same one, whatever file it came from.
        created: start of the run, UTC.
        kind: ``serving``, ``benchmark`` or ``perftest``; empty for other tools' files.
        tool, tool_version: what wrote the result.
        model: as it was named.
        label: what the user called it (``--label``), or a performance test's canonical label.
        test: the performance test's name.
        gpu, gpu_count: name of the GPUs that the measuring process sees, and how many.
        host: where it was measured from.
        concurrency, request_rate, batch_size: load; the rate is 1/s and may be infinite.
        isl, osl: mean tokens of a request and of its answer.
        backend: of the client, or the runtime.
        streaming: whether answers came as streams.
        state: one of ``STATES``.
        source: path it was read from.
        tags: what the user noted.
        id: in the database; 0 before it is there.
    """

    hash: str
    created: datetime
    kind: str = ""
    tool: str = ""
    tool_version: str = ""
    model: str = ""
    label: str = ""
    test: str = ""
    gpu: str = ""
    gpu_count: int | None = None
    host: str = ""
    concurrency: int | None = None
    request_rate: float | None = None
    batch_size: int | None = None
    isl: float | None = None
    osl: float | None = None
    backend: str = ""
    streaming: bool | None = None
    state: str = "unknown"
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    id: int = 0


@dataclass(frozen=True, kw_only=True)
class RunRecord(RunRow):
    """A run with its numbers.

    Args:
        metrics: ``ttft.mean`` in ns, ``output_throughput`` in 1/s, ...; a performance test adds its metric types.
        content: the native Result as JSON, compressed by zlib; None for other tools' files.
    """

    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    content: bytes | None = None


@dataclass(frozen=True)
class Added:
    """How many runs `Database.add` put in, and how many were there before."""

    new: int
    known: int


@dataclass(frozen=True)
class Pin:
    """A baseline that stays until another is accepted.

    Args:
        key: column -> text, as in `Filter.key`: the runs it is a baseline of.
        metric: its name.
        values: of the runs, in the metric's unit.
        run_ids: the runs.
        accepted: when, UTC.
        reason: why, in one line.
        by: who.
    """

    key: Mapping[str, str]
    metric: str
    values: tuple[float, ...]
    run_ids: tuple[int, ...]
    accepted: datetime
    reason: str = ""
    by: str = ""


def hash_of(facts: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of a JSON-ready mapping; the order of keys, and keys that hold nothing, do not count.

    So a result keeps its hash when a later version knows more sections, which this one did not measure.
    """
    text = json.dumps(_told(facts), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _told(value: Any) -> Any:
    if isinstance(value, Mapping):
        found = {str(key): _told(inner) for key, inner in value.items()}
        return {key: inner for key, inner in found.items() if inner is not None and inner not in ([], {}, "")}
    return [_told(inner) for inner in value] if isinstance(value, (list, tuple)) else value
