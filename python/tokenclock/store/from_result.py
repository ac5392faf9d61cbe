"""What a reader found, as records of the history: one for each run, and for each case of an offline run."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokenclock.compare.run import Run, runs_of
from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.readers.foreign import ForeignResult
from tokenclock.readers.ours import OwnResult
from tokenclock.readers.read import AnyResult
from tokenclock.result import Result
from tokenclock.store.instants import instant_of
from tokenclock.store.record import MetricValue, RunRecord, hash_of

__all__ = ["records_of"]

_NONE: Mapping[str, Any] = {}
_VERDICTS = {"VALID": "valid", "VALID with warnings": "warn", "INVALID": "invalid"}
_FURTHER = ("90", "95", "99.9")


def records_of(
    found: AnyResult,
    *,
    tags: Mapping[str, str] = _NONE,
    label: str | None = None,
    test: str = "",
    extra_metrics: Mapping[str, MetricValue] = _NONE,
    source: str | None = None,
) -> list[RunRecord]:
    """The runs in a result.

    Args:
        found: what a reader gave.
        tags: beside those that the result has (``--metadata``), and in their place.
        label: in place of the result's own.
        test: name of the performance test.
        extra_metrics: beside the result's own, for each of its runs.
        source: in place of the path it was read from.

    Returns:
        a record of a load test or of another tool's file; of an offline result one for each case, those that failed or
        were skipped too, without numbers. What is given here does not count in a record's hash.
    """
    if isinstance(found, ForeignResult):
        records = [_foreign(found)]
    elif found.result.kind == "benchmark":
        records = list(_cases(found))
    else:
        records = [_serving(found)]
    changes: dict[str, Any] = {"test": _clean(test)}
    if label is not None:
        changes["label"] = _clean(label)
    if source is not None:
        changes["source"] = _clean(source)
    more = {_clean(name): _clean(value) for name, value in tags.items()}
    return [
        _replaced(record, changes, tags={**record.tags, **more}, metrics={**record.metrics, **extra_metrics})
        for record in records
    ]


def _replaced(record: RunRecord, changes: Mapping[str, Any], **more: Any) -> RunRecord:
    return RunRecord(**{**{name: getattr(record, name) for name in record.__dataclass_fields__}, **changes, **more})


def _foreign(found: ForeignResult) -> RunRecord:
    (run,) = runs_of(found)
    facts = {
        "tool": found.tool, "label": found.label, "model": found.model, "created": found.created,
        "asked": {key: str(value) for key, value in found.asked.items()}, "values": dict(found.values),
        "n_requests": found.n_requests, "n_failed": found.n_failed,
    }  # fmt: skip
    values = {name: MetricValue(value, None, None, _unit(name)) for name, value in found.values.items()}
    return RunRecord(
        hash=hash_of(facts),
        created=instant_of(found.created, found.path),
        tool=found.tool,
        label=_clean(found.label),
        gpu_count=_whole(found.asked.get("world_size")),
        streaming=_switch(found.asked.get("streaming")),
        source=_clean(str(found.path)),
        metrics=_finite(values),
        **_load(run),
    )


def _serving(found: OwnResult) -> RunRecord:
    result = found.result
    (run,) = runs_of(found)
    content = result.to_dict()
    output = result.plan.get("output", {})
    metrics = {name: MetricValue(e.value, e.low, e.high, _unit(name)) for name, e in run.estimates.items()}
    return RunRecord(
        hash=hash_of(content),
        label=_clean(output.get("label") or ""),
        streaming=_switch(result.requests.get("streaming")),
        state="incomplete" if result.incomplete else _VERDICTS.get(result.quality.verdict, "unknown"),
        backend=_clean(result.plan.get("endpoint", {}).get("backend") or (result.model or {}).get("runtime") or ""),
        tags={_clean(name): _clean(str(value)) for name, value in (output.get("metadata") or {}).items()},
        metrics=_finite({**_further(result), **metrics}),
        content=_packed(content),
        **_load(run) | {"model": run.model or _model(result)},
        **_facts(found),
    )


def _cases(found: OwnResult) -> Iterator[RunRecord]:
    result = found.result
    content = result.to_dict()
    packed, measured = _packed(content), iter(runs_of(found))
    state = _VERDICTS.get(result.quality.verdict, "unknown")
    states = {"measured": state, "skipped": "skipped", "failed": "failed", "not_run": "incomplete"}
    for number, case in enumerate(result.cases):
        run = next(measured) if case["status"] == "measured" else None
        estimates = {} if run is None else run.estimates
        yield RunRecord(
            hash=hash_of({**content, "case": number}),
            model=_model(result),
            batch_size=_whole(case["batch_size"]),
            isl=case["input_len"],
            osl=case["output_len"],
            state=states.get(case["status"], "unknown"),
            backend=_clean((result.model or {}).get("runtime") or ""),
            metrics=_finite({name: MetricValue(e.value, e.low, e.high, _unit(name)) for name, e in estimates.items()}),
            content=packed,
            **_facts(found),
        )


def _facts(found: OwnResult) -> dict[str, Any]:
    """What all kinds of our own results say of themselves."""
    result, environment = found.result, found.result.environment
    visible = (environment.get("gpu") or {}).get("visible") or ()
    return {
        "created": instant_of(result.created, found.path),
        "kind": result.kind,
        "tool": str(result.tool.get("name") or "tokenclock"),
        "tool_version": str(result.tool.get("version") or ""),
        "gpu": _clean(", ".join(dict.fromkeys(str(gpu.get("name")) for gpu in visible))),
        "gpu_count": len(visible) or None,
        "host": _clean(str(environment.get("host") or "")),
        "source": _clean(str(found.path)),
    }


def _load(run: Run) -> dict[str, Any]:
    return {
        "model": _clean(run.model),
        "concurrency": _whole(run.load.concurrency),
        "request_rate": run.load.request_rate,
        "batch_size": _whole(run.load.batch_size),
        "isl": run.isl,
        "osl": run.osl,
    }


def _model(result: Result) -> str:
    plan = result.plan
    names: Sequence[Any] = ((result.model or {}).get("name"), plan.get("model"), plan.get("engine_dir"))
    return _clean(next((name for name in names if isinstance(name, str) and name), ""))


def _further(result: Result) -> dict[str, MetricValue]:
    """Percentiles that `compare` does not take, goodput, and the share of requests that failed."""
    found = {}
    intervals = (result.confidence or {}).get("latencies", {})
    for tag, latency in result.latencies.items():
        of_tag = (intervals.get(tag) or {}).get("percentiles", {})
        for percent in _FURTHER:
            value, bounds = latency["percentiles"].get("rank", {}).get(percent), of_tag.get(percent) or {}
            if value is not None:
                found[f"{tag}.p{percent}"] = MetricValue(value, bounds.get("low"), bounds.get("high"), _unit(tag))
    if result.goodput is not None and result.goodput.get("request_goodput") is not None:
        found["goodput"] = MetricValue(result.goodput["request_goodput"], None, None, "1/s")
    if result.requests.get("scheduled"):
        share = (result.requests.get("failed") or 0) / result.requests["scheduled"]
        found["failure_share"] = MetricValue(share, None, None, "share")
    return found


def _unit(name: str) -> str:
    tag, dot, _ = name.partition(".")
    definition = DEFINITIONS.get(tag)
    if definition is not None:
        return definition.unit
    return "ns" if dot else "1/s"


def _finite(values: Mapping[str, MetricValue]) -> dict[str, MetricValue]:
    return {_clean(name): value for name, value in values.items() if math.isfinite(value.value)}


def _packed(content: Mapping[str, Any]) -> bytes:
    return zlib.compress(json.dumps(content, separators=(",", ":"), sort_keys=True).encode("utf-8"), 6)


def _clean(text: str) -> str:
    """Text that every database takes: neither NUL nor half a character."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _whole(value: Any) -> int | None:
    """A whole number that a column holds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**31 else None


def _switch(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
