"""The Result of a run: one immutable value that every report renders and every file embeds."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any

from tokenclock import environment as environment_module
from tokenclock.errors import UsageError
from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.serving_extras import extra_values
from tokenclock.metrics.serving_face import serving_face
from tokenclock.metrics.summary import RunSummary
from tokenclock.quality import Quality
from tokenclock.result_sections import latency_section
from tokenclock.whole_file import read_text

__all__ = ["SCHEMA_VERSION", "Result", "build_result"]

SCHEMA_VERSION = "1.2"
"""Raised in the first number when a reader of old files would be misled, in the second when keys are added."""

_MOST_BYTES = 1 << 30
_FORMS = {"str": str, "bool": bool, "Mapping[str, Any]": Mapping, "Sequence[Mapping[str, Any]]": Sequence}


@dataclass(frozen=True)
class Result:
    """A measured run. Values are in base units (ns, tokens, per second) with the unit in or beside the key.

    Args:
        schema_version: of this form.
        kind: ``serving``, or ``benchmark``: then the groups from requests to client are empty, and cases is not.
        tool: name and version of the program.
        created: start of the run, ISO 8601 with offset.
        incomplete: the run was interrupted.
        plan: everything needed to repeat the run, secrets masked.
        environment: machine and software, ``environment.collect()``.
        workload: ``sha256`` of the realised requests, and notes on how they came out.
        requests: scheduled, ok, failed, by status, one example per kind of failure.
        tokens: totals and where the counts come from.
        durations: both durations in ns.
        latencies: tag -> n, mean, std, min, max, percentiles by rule, with unit and formula.
        throughput: per second over ``first_sent_to_last_token_ns``; ``wall`` holds the same over wall time.
        goodput: against the limits named; None when none was.
        client: counters of the load client.
        quality: checks and verdict.
        faces: face -> values as an imitated tool names and rounds them, with that tool's percentile rule.
        server: what was asked of the server around the run and what its own counters say; None in files of schema 1.0.
        probes: the one-token requests beside the load; None when none were asked.
        confidence: 95 % intervals of the whole run's numbers; None in files of schema 1.1.
        steady: the window in which the load was what was asked for, its numbers and their intervals; None likewise.
        cases: of an offline run: one entry per case of the plan, see ``result_benchmark.case_entry``.
        model: of an offline run: what the runtime says of the model, its limits, and how long loading took.
        ranks: world size, what several ranks do, host, local rank and clock of each; None for one client's load test.
        loop: of an offline run: what the loop itself costs, in ns.
        gpu: GPUs during the run (of a load test: of this host, by `serving.gpu_watch`); None when not asked for.
    """

    schema_version: str
    kind: str
    tool: Mapping[str, Any]
    created: str
    incomplete: bool
    plan: Mapping[str, Any]
    environment: Mapping[str, Any]
    workload: Mapping[str, Any]
    requests: Mapping[str, Any]
    tokens: Mapping[str, Any]
    durations: Mapping[str, Any]
    latencies: Mapping[str, Any]
    throughput: Mapping[str, Any]
    goodput: Mapping[str, Any] | None
    client: Mapping[str, Any]
    quality: Quality
    faces: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] | None = None
    probes: Mapping[str, Any] | None = None
    confidence: Mapping[str, Any] | None = None
    steady: Mapping[str, Any] | None = None
    cases: Sequence[Mapping[str, Any]] = ()
    model: Mapping[str, Any] | None = None
    ranks: Mapping[str, Any] | None = None
    loop: Mapping[str, Any] | None = None
    gpu: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            object.__setattr__(self, entry.name, _frozen(getattr(self, entry.name)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready copy; ``from_dict`` undoes it."""
        return {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """From what ``to_dict`` gave.

        Raises:
            UsageError: not a result, or written by a later version in a form this one does not know.
        """
        version = str(data.get("schema_version", ""))
        if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
            raise UsageError(
                f"expected a result of schema {SCHEMA_VERSION}, got {version or 'none'}: "
                "read it with the tokenclock that wrote it"
            )
        known = {entry.name: str(entry.type) for entry in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        try:
            for key, value in values.items():
                form, _, none = known[key].partition(" | ")
                if form in _FORMS and not isinstance(value, _FORMS[form]) and not (none and value is None):
                    raise TypeError(f"{key} is {type(value).__name__}")
            return cls(**{**values, "quality": Quality.from_dict(data["quality"])})
        except (AttributeError, KeyError, TypeError) as error:
            raise UsageError(
                f"expected a whole tokenclock result, got one with a key missing or wrong: {error}"
            ) from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Result:
        """Read a native result, or the one inside any JSON file that carries it under the key ``tokenclock``.

        Raises:
            UsageError: the file cannot be read, is not JSON, or holds no result.
        """
        results = cls.load_all(path)
        if len(results) > 1:
            raise UsageError(f"{path} holds {len(results)} results, one a line: read them with Result.load_all")
        return results[0]

    @classmethod
    def load_all(cls, path: str | os.PathLike[str]) -> list[Result]:
        """Read every result of a file: of one JSON value as for `load`, or of many lines, as `--append-result` writes.

        Raises:
            UsageError: the file cannot be read, is not JSON, or holds no result.
        """
        text = read_text(path, what="the result", most_bytes=_MOST_BYTES)
        try:
            return [cls._of(json.loads(text), path)]
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":
                raise _no_json(path, error.lineno, error) from error
        except (ValueError, RecursionError) as error:
            if isinstance(error, UsageError):
                raise
            raise _no_json(path, 1, error) from error
        found = []
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                found += [cls._of(json.loads(line), path)] if line.strip() else []
            except json.JSONDecodeError as error:
                raise _no_json(path, number, error) from error
        return found

    @classmethod
    def _of(cls, data: Any, path: str | os.PathLike[str]) -> Result:
        if isinstance(data, dict) and isinstance(data.get("tokenclock"), dict):
            data = data["tokenclock"]
        if not isinstance(data, dict) or "schema_version" not in data:
            raise UsageError(f"{path} holds no tokenclock result: expected schema_version, or the key tokenclock")
        try:
            return cls.from_dict(data)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error


def _no_json(path: str | os.PathLike[str], line: int, error: Exception) -> UsageError:
    said = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
    return UsageError(f"{path}:{line} is not JSON: expected a result, got {said}")


def build_result(
    summary: RunSummary,
    quality: Quality,
    facts: RunFacts,
    *,
    plan: Mapping[str, Any],
    environment: Mapping[str, Any],
    workload: Mapping[str, Any],
    client: Mapping[str, Any],
    created: datetime,
    incomplete: bool = False,
    server: Mapping[str, Any] | None = None,
    probes: Mapping[str, Any] | None = None,
    confidence: Mapping[str, Any] | None = None,
    steady: Mapping[str, Any] | None = None,
    ranks: Mapping[str, Any] | None = None,
    gpu: Mapping[str, Any] | None = None,
    faces: Mapping[str, Any] | None = None,
) -> Result:
    """Put a run together.

    Args:
        summary: ``metrics.summary.summarise`` of the records.
        quality: ``quality.assess`` of the same records.
        facts: what was asked.
        plan: ``plan.to_dict()``, secrets masked.
        environment: ``environment.collect()``.
        workload: at least ``sha256``.
        client: ``records.client``.
        created: start of the run; local time is taken when it has no zone.
        incomplete: the run was interrupted.
        server: ``commands``, ``spec_decode``, ``energy``, ``time_breakdown``; None when the server was not asked.
        probes: ``metrics.probes.summarise_probes``.
        confidence, steady: ``result_sections.certainty_sections`` of the same records.
        ranks: where several ranks were one client: host, clock and quality of each; None for one process.
        gpu: ``serving.gpu_watch.GpuWatch.found``.
        faces: of further imitated tools, by name.
    """
    local = created.astimezone()
    spans = summary.durations
    return Result(
        schema_version=SCHEMA_VERSION,
        kind="serving",
        tool={"name": "tokenclock", "version": environment_module.tool_version()},
        created=local.astimezone(timezone.utc).isoformat(timespec="seconds"),
        incomplete=incomplete,
        plan=plan,
        environment=environment,
        workload=workload,
        requests={
            "scheduled": summary.n_scheduled,
            "ok": summary.n_ok,
            "failed": summary.n_scheduled - summary.n_ok,
            "by_status": summary.by_status,
            "failure_examples": summary.failure_examples,
            "loop": facts.loop,
            "streaming": facts.streaming,
        },
        tokens=asdict(summary.tokens),
        durations=asdict(spans),
        latencies={tag: latency_section(found) for tag, found in summary.distributions.items()},
        throughput={"unit": "1/s", **asdict(summary.rates), "wall": asdict(summary.wall_rates)},
        goodput=None
        if summary.goodput is None
        else {"unit": "1/s", **asdict(summary.goodput), "formula": DEFINITIONS["goodput"].formula},
        client=client,
        quality=quality,
        faces={"serving": serving_face(summary, facts, local, extra_values(facts, probes, server)), **(faces or {})},
        server=server,
        probes=probes,
        confidence=confidence,
        steady=steady,
        ranks=ranks,
        gpu=gpu,
    )


def _frozen(value: Any) -> Any:
    """The same value with read-only mappings and tuples all the way down."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(inner) for key, inner in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return tuple(_frozen(inner) for inner in value)
    return value


def _plain(value: Any) -> Any:
    """The same value as JSON can hold it: no infinities (``"inf"``), no NaN (None), no read-only wrappers."""
    if isinstance(value, Quality):
        return _plain(value.to_dict())
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
