"""Puts the Result of an offline run together: what is said of each case, and the face of benchmark.py."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock import environment as environment_module
from tokenclock.hdr import HdrHistogram
from tokenclock.metrics.benchmark_face import benchmark_keys
from tokenclock.metrics.offline_case import CaseNumbers, Series
from tokenclock.metrics.offline_definitions import OFFLINE_DEFINITIONS
from tokenclock.metrics.ranks import merge_histograms
from tokenclock.metrics.summary import percentile_label, samples_needed
from tokenclock.plan_benchmark import BenchmarkCase, BenchmarkPlan
from tokenclock.quality import Quality
from tokenclock.result import SCHEMA_VERSION, Result

__all__ = ["build_benchmark_result", "case_entry", "case_label"]


def case_label(case: BenchmarkCase) -> str:
    """``batch 8, 128 in, 20 out``, with beams and weights where they are not the usual."""
    parts = [f"batch {case.batch_size}", f"{case.input_len} in"]
    if case.output_len is not None:
        parts.append(f"{case.output_len} out")
    if case.num_beams != 1:
        parts.append(f"{case.num_beams} beams")
    if case.gpu_weights_percent != 1.0:
        parts.append(f"weights {case.gpu_weights_percent:g}")
    return ", ".join(parts)


def case_entry(
    case: BenchmarkCase,
    *,
    status: str,
    reason: str | None = None,
    numbers: CaseNumbers | None = None,
    run: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    gpu: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a result says of one case; JSON-ready.

    Args:
        case: the case.
        status: ``measured``, ``skipped`` (outside the model's limits), ``failed``, ``not_run`` (the run ended before).
        reason: why it was not measured, in one line.
        numbers: None where there are none.
        run: ``phase``, ``ended_by``, ``prepare_ns``, ``release_ns``, ``details`` of the loop.
        warnings: each with its remedy.
        gpu: memory, power, clocks over the case; None where they were not sampled.
    """
    entry = {
        **dataclasses.asdict(case),
        "label": case_label(case),
        "status": status,
        "reason": reason,
        "run": dict(run or {}),
        "warnings": list(warnings),
        "gpu": None if gpu is None else dict(gpu),
    }
    return entry if numbers is None else entry | _measured(numbers)


def _measured(numbers: CaseNumbers) -> dict[str, Any]:
    of_ranks = merge_histograms([_histogram(own) for own in numbers.ranks.latency_ns])
    return {
        "n": numbers.n,
        "n_warm_up": numbers.n_warm_up,
        "latencies": {tag: _series(tag, series) for tag, series in numbers.series.items()},
        "throughput": {"unit": "1/s", **numbers.throughput},
        "steps_per_iteration": numbers.steps_per_iteration,
        "lengths": dataclasses.asdict(numbers.lengths),
        "ranks": {
            **{key: getattr(numbers.ranks, key) for key in ("n", "mean_ns", "slowest")},
            "skew": _series("rank_skew", numbers.ranks.skew),
            "histogram": _coded("latency of every rank", of_ranks),
        },
        "drift": dataclasses.asdict(numbers.drift),
        "n_not_together": numbers.n_not_together,
        "phases": {name: _plain_series(series) for name, series in numbers.phases.items()},
        "histogram": _coded("latency", _histogram(numbers.latency_ns)),
        "too_few_samples": [
            {"percentile": percentile, "needed": samples_needed(percentile)}
            for percentile in numbers.series["latency"].distribution.percentiles["rank"]
            if numbers.n < samples_needed(percentile)
        ],
    }


def _histogram(values: npt.NDArray[np.int64]) -> HdrHistogram:
    histogram = HdrHistogram()
    histogram.record_many(values)
    return histogram


def _coded(of: str, histogram: HdrHistogram) -> dict[str, Any]:
    return {"of": of, "unit": "ns", "n_lost": histogram.n_lost, "hdr": histogram.encode()}


def _series(tag: str, series: Series) -> dict[str, Any]:
    definition = OFFLINE_DEFINITIONS[tag]
    return {
        "title": definition.title,
        "unit": definition.unit,
        "better": definition.better,
        "formula": definition.formula,
        **_plain_series(series),
    }


def _plain_series(series: Series) -> dict[str, Any]:
    found = series.distribution
    return {
        "n": found.n,
        "n_missing": found.n_missing,
        "mean": found.mean,
        "std": found.std,
        "min": found.minimum,
        "max": found.maximum,
        "median": series.median,
        "mad": series.mad,
        "mean_interval_95": series.mean_interval,
        "median_interval_95": series.median_interval,
        "percentiles": {
            rule: {percentile_label(p): value for p, value in by_percentile.items()}
            for rule, by_percentile in found.percentiles.items()
        },
    }


def build_benchmark_result(
    plan: BenchmarkPlan,
    *,
    cases: Sequence[Mapping[str, Any]],
    face: Sequence[Mapping[str, Any]],
    latency_source: str,
    quality: Quality,
    model: Mapping[str, Any],
    ranks: Mapping[str, Any],
    loop: Mapping[str, Any],
    environment: Mapping[str, Any],
    notes: Sequence[str],
    created: datetime,
    incomplete: bool,
    gpu: Mapping[str, Any] | None = None,
) -> Result:
    """Put an offline run together.

    Args:
        plan: of the run.
        cases: `case_entry` of every case.
        face: `benchmark_values` of every case.
        latency_source: where the face's latencies are from: ``cuda events`` or ``host clock``.
        quality: `assess_benchmark`.
        model: facts of the model, limits, runtime, load time.
        ranks: world size, kind, host and local rank of each.
        loop: what the loop itself costs, ns.
        environment: `environment.collect()`.
        notes: lines that were said.
        created: start of the run.
        incomplete: the run was interrupted.
        gpu: figures of the whole run; None where they were not sampled.
    """
    data = plan.to_dict()
    asked = {
        key: data[key] for key in ("family", "batch_sizes", "lengths", "num_beams", "gpu_weights_percents", "seed")
    }
    return Result(
        schema_version=SCHEMA_VERSION,
        kind="benchmark",
        tool={"name": "tokenclock", "version": environment_module.tool_version()},
        created=created.astimezone(timezone.utc).isoformat(timespec="seconds"),
        incomplete=incomplete,
        plan=data,
        environment=environment,
        workload={
            "sha256": hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest(),
            "notes": list(notes),
        },
        requests={},
        tokens={},
        durations={},
        latencies={},
        throughput={},
        goodput=None,
        client={},
        quality=quality,
        faces={
            "benchmark": {
                "percentile_rule": "floor",
                "latency_source": latency_source,
                "keys": benchmark_keys(plan.family),
                "cases": list(face),
            }
        },
        cases=cases,
        model=model,
        ranks=ranks,
        loop=loop,
        gpu=gpu,
    )
