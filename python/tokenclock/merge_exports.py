"""Merges what several clients measured at the same time into one result: their requests on one axis of time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tokenclock import environment
from tokenclock.errors import UsageError
from tokenclock.foreign_exports import read_foreign_export
from tokenclock.merge import Part, merge_records
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.genai_perf_face import genai_perf_face
from tokenclock.metrics.request_series import window_ns
from tokenclock.metrics.summary import summarise
from tokenclock.metrics.telemetry import SeenGpus, merged_statistics
from tokenclock.metrics.time_overlap import Overlap, overlap_of
from tokenclock.profile_files import SUFFIX
from tokenclock.quality import assess
from tokenclock.quality_words import in_words_of_profile
from tokenclock.records import MISSING_NS, Records
from tokenclock.report import columns_file
from tokenclock.result import Result, build_result
from tokenclock.result_sections import certainty_sections

__all__ = ["Export", "merge_exports", "read_exports"]

_INSTANTS = (
    "t_scheduled_ns", "t_connect_ns", "t_tls_ns", "t_sent_ns", "t_first_byte_ns", "t_first_token_ns",
    "t_last_token_ns", "t_done_ns",
)  # fmt: skip
_SAME = ("model", "endpoint_type", "streaming")  # what runs that are merged were all asked


@dataclass(frozen=True)
class Export:
    """What one client measured."""

    path: Path
    result: Result
    records: Records


def read_exports(directory: Path, count_tokens: Callable[[str], int] | None = None) -> list[Export]:
    """Every ``*_genai_perf.json`` in the sub-directories, with the columns beside it, in the order of their names.

    Those of genai-perf itself are read with the raw profile beside them, in place of columns.
    count_tokens: text -> tokens, for answers there whose stream told no usage.

    Raises:
        UsageError: the directory cannot be read, a file is of another command, or what lies beside it is missing.
    """
    if not directory.is_dir():
        raise UsageError(f"--input-directory must be a directory, got {directory}; each run in a directory of its own")
    paths = sorted(directory.glob(f"*/**/*{SUFFIX}.json"))
    if not paths:
        raise UsageError(f"{directory} holds no *{SUFFIX}.json in its sub-directories; copy each run's directory there")
    return [_read(path, count_tokens) for path in paths]


def _read(path: Path, count_tokens: Callable[[str], int] | None) -> Export:
    if _is_foreign(path):
        return Export(path, *read_foreign_export(path, count_tokens))
    result = Result.load(path)
    if "profile" not in result.faces:
        raise UsageError(f"{path} was not written by tokenclock profile; requests of other tools have no token counts")
    columns = columns_file.columns_path(path)
    if not columns.is_file():
        raise UsageError(f"{columns} is missing: the requests of {path} are in it; copy the run's whole directory")
    records = columns_file.read(columns)
    if "epoch_realtime_ns" not in records.client or not window_ns(records):
        raise UsageError(f"{columns} holds no request with a time of day; leave its run out")
    export = Export(path, result, records)
    try:
        _facts([export])
        asked, sha256 = result.plan["asked"], result.workload["sha256"]
        epoch_ns, wall_ns = (int(records.client[key]) for key in ("epoch_realtime_ns", "wall_ns"))
        datetime.fromisoformat(result.created)
        whole = isinstance(asked, Mapping) and isinstance(sha256, str) and 0 < epoch_ns < 1 << 62 and wall_ns >= 0
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path}:1: expected a whole result of tokenclock profile, got one with a key missing or wrong: {error}"
        ) from error
    if not whole:
        raise UsageError(
            f"{path}:1: expected a whole result of tokenclock profile, got wrong values there or beside it"
        )
    return export


def _is_foreign(path: Path) -> bool:
    """Whether it is an export of the original, which has no result of ours in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # said by who reads it as ours
        return False
    return isinstance(content, dict) and "tokenclock" not in content and "request_latency" in content


def merge_exports(exports: Sequence[Export]) -> tuple[Result, Records, Overlap]:
    """One result of all requests; rates are totals over the time from the first send to the last token of all runs.

    Raises:
        UsageError: runs of different configuration, or that have no common time, or one run twice.
    """
    asked = [export.result.plan["asked"] for export in exports]
    for export, own in zip(exports, asked, strict=True):
        for key in _SAME:
            if own.get(key) != asked[0].get(key):
                raise UsageError(f"{export.path} has {key} {own.get(key)}, {exports[0].path} {asked[0].get(key)}")
    _refuse_copies(exports)
    windows = [(first, last) for first, last in (window_ns(export.records) for export in exports)]
    overlap = overlap_of(windows)
    if overlap.t_end_ns <= overlap.t_start_ns:
        late = max(range(len(windows)), key=lambda index: windows[index][0])
        early = min(range(len(windows)), key=lambda index: windows[index][1])
        gap_s = (overlap.t_start_ns - overlap.t_end_ns) / 1e9
        raise UsageError(
            f"runs that did not overlap in time are not merged: {exports[late].path} began {gap_s:.3f} s after "
            f"{exports[early].path} had ended; start the clients together, and keep their clocks in step (NTP)"
        )
    records, facts = _records(exports), _facts(exports)
    summary = summarise(records, facts)
    merged = {
        "n": len(exports),
        "kind": "export",
        "overlap_share": overlap.share,
        "of": [
            {
                "path": str(export.path),
                "created": export.result.created,
                "host": export.result.environment.get("host"),
                "t_first_sent_ns": window[0],
                "t_last_token_ns": window[1],
                "quality": export.result.quality.to_dict(),
                "gpu": export.result.to_dict()["gpu"],
            }
            for export, window in zip(exports, windows, strict=True)
        ],
    }
    first = exports[0].result.to_dict()
    result = build_result(
        summary,
        in_words_of_profile(
            assess(records, facts, summary, incomplete=any(export.result.incomplete for export in exports)),
            first["plan"],
        ),
        facts,
        plan=first["plan"],
        environment=environment.collect(),
        workload={
            "sha256": None,
            "merged_sha256": [export.result.workload["sha256"] for export in exports],
            "notes": [],
        },
        client=records.client,
        created=min(datetime.fromisoformat(export.result.created) for export in exports),
        incomplete=any(export.result.incomplete for export in exports),
        ranks=merged,
        faces={
            "profile": {
                **genai_perf_face(records, facts, summary),
                "telemetry": merged_statistics(
                    [seen for export, window in zip(exports, windows, strict=True) for seen in _gpus(export, window)]
                ),
            }
        },
        **certainty_sections(records, facts, summary),
    )
    return result, records, overlap


def _refuse_copies(exports: Sequence[Export]) -> None:
    """No two runs send all their requests at the same ns: those are one run, copied."""
    first_of: dict[tuple[int, bytes], Path] = {}
    for export in exports:
        columns, epoch_ns = export.records.columns, int(export.records.client["epoch_realtime_ns"])
        first = first_of.setdefault((epoch_ns, np.sort(columns["t_sent_ns"]).tobytes()), export.path)
        if first != export.path:
            raise UsageError(
                f"{export.path} is the same run as {first}: all requests were sent at the same ns; remove one of them"
            )


def _gpus(export: Export, window: tuple[int, int]) -> Iterator[SeenGpus]:
    """What a run has of GPUs. Exporters of the same addresses are the same, but for those of the client's own host."""
    telemetry = export.result.faces["profile"].get("telemetry")
    if not telemetry:
        return
    host = export.result.environment.get("host")
    gpu, urls = export.result.gpu, tuple(export.result.plan.get("server", {}).get("dcgm_urls") or ())
    source: tuple[Any, ...] = ("dcgm", *(_place(url, host) for url in urls))
    if not urls:
        source = ("nvml", gpu["host"] if gpu is not None else str(export.path))
    yield SeenGpus(source, export.result.to_dict()["faces"]["profile"]["telemetry"], window[1] - window[0])


def _place(url: str, host: object) -> tuple[str, object]:
    """An address, and for one of this host's own whose host that is."""
    name = urlsplit(url if "://" in url else f"http://{url}").hostname
    return url, host if name in ("localhost", "::1") or (name or "").startswith("127.") else None


def _records(exports: Sequence[Export]) -> Records:
    """All requests, run after run, with instants relative to the start of the run that began first."""
    epochs = [int(export.records.client["epoch_realtime_ns"]) for export in exports]
    base, parts, n = min(epochs), list[Part](), 0
    for export, epoch in zip(exports, epochs, strict=True):
        shifted = _shifted(export.records, epoch - base)
        parts.append(Part(np.arange(n, n + shifted.n_requests), shifted))
        n += shifted.n_requests
    asked = {
        name: np.concatenate([export.records.columns[name] for export in exports])
        for name in ("isl_requested", "osl_requested")
    }
    merged = merge_records(parts, asked)
    wall_ns = max(
        epoch - base + int(export.records.client["wall_ns"]) for export, epoch in zip(exports, epochs, strict=True)
    )
    return replace(merged, client={**merged.client, "epoch_realtime_ns": base, "wall_ns": wall_ns})


def _shifted(records: Records, by_ns: int) -> Records:
    columns = dict(records.columns)
    for name in _INSTANTS:
        columns[name] = np.where(columns[name] == MISSING_NS, MISSING_NS, columns[name] + by_ns)
    return replace(records, columns=columns, t_token_ns=records.t_token_ns + by_ns, t_read_ns=records.t_read_ns + by_ns)


def _facts(exports: Sequence[Export]) -> RunFacts:
    """What all runs together asked: their loads add up."""
    plans: list[dict[str, Any]] = [export.result.to_dict()["plan"] for export in exports]
    rates = [float(plan["load"]["request_rate"]) for plan in plans]
    slots = [plan["load"]["max_concurrency"] for plan in plans]
    endpoint, output = plans[0]["endpoint"], plans[0]["output"]
    return RunFacts(
        backend=endpoint["backend"],
        model=endpoint["model"],
        tokenizer=endpoint["tokenizer"] or endpoint["model"],
        num_prompts=sum(export.records.n_requests for export in exports),
        request_rate=sum(rates) if all(map(math.isfinite, rates)) else math.inf,
        burstiness=float(plans[0]["load"]["burstiness"]),
        max_concurrency=None if None in slots else sum(slots),
        streaming=plans[0]["load"]["streaming"],
        percentile_metrics=tuple(output["percentile_metrics"]),
        metric_percentiles=tuple(output["metric_percentiles"]),
        slos_ms=output["goodput_ms"],
        max_failure_share=output["max_failure_share"],
        shared_prefix=any(plan["dataset"].get("n_prefixes", 0) > 0 for plan in plans),
        connection=endpoint["connection"],
    )
