"""A run as `compare` sees it: at which point it was measured, of what, and its numbers with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenclock.compare.estimate import Estimate, estimate
from tokenclock.metrics.repeat_intervals import FEWEST_FOR_MEAN
from tokenclock.readers.foreign import ForeignResult
from tokenclock.readers.ours import OwnResult
from tokenclock.readers.read import AnyResult
from tokenclock.result import Result

__all__ = ["Load", "Run", "estimates_of", "runs_of"]

_STATISTICS = ("mean", "p50", "p90", "p95", "p99")
_LATENCIES = ("ttft", "tpot", "itl", "e2el", "response_ttft", "response_e2el")
_RATES = ("output_throughput", "request_throughput", "total_throughput", "user_throughput")
_OLD = "its file is of a version that wrote no intervals: measure again"


@dataclass(frozen=True)
class Load:
    """What a server or a runtime was asked to bear; None where that does not apply or is not known."""

    concurrency: int | None = None
    request_rate: float | None = None
    batch_size: int | None = None

    def __str__(self) -> str:
        parts = []
        if self.batch_size is not None:
            parts.append(f"batch {self.batch_size}")
        if self.concurrency is not None:
            parts.append(f"concurrency {self.concurrency}")
        if self.request_rate is not None and math.isfinite(self.request_rate):
            parts.append(f"{self.request_rate:g} requests/s")
        return ", ".join(parts) or "load not told"


@dataclass(frozen=True)
class Run:
    """One measured run, or one case of an offline run.

    Args:
        path: of the file.
        tool: that wrote it; ``tokenclock`` for our own.
        load: concurrency, rate, batch.
        isl, osl: mean tokens per request; None when unknown.
        workload: SHA-256 of the realised requests; None when unknown.
        endpoint: what was asked of the server (path, streaming) where known: runs that differ in it do not compare.
        model: as named.
        created: start, as text that sorts by time; empty when unknown.
        verdict: of the measurement's quality; empty when unknown.
        estimates: ``ttft.mean``, ``tpot.p99``, ``output_throughput``, ... -> number and interval.
        incomplete: it was interrupted.
        own: the result behind it where it is ours.
        n_failed: requests that failed; None when unknown.
        whole_run: the numbers are of the whole run, not of its steady window.
    """

    path: Path
    tool: str
    load: Load
    isl: float | None
    osl: float | None
    workload: str | None
    endpoint: Mapping[str, Any]
    model: str
    created: str
    verdict: str
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    incomplete: bool = False
    own: OwnResult | None = None
    n_failed: int | None = None
    whole_run: bool = True


def runs_of(found: AnyResult, *, steady: bool = False) -> list[Run]:
    """The run in a result; of an offline result one for each case that was measured.

    Args:
        found: what a reader gave.
        steady: take the numbers of the steady window in place of the whole run's.
    """
    if isinstance(found, ForeignResult):
        return [_foreign(found)]
    if found.result.kind == "benchmark":
        return [_case(found, case) for case in found.result.cases if case["status"] == "measured"]
    return [_serving(found, steady)]


def _foreign(found: ForeignResult) -> Run:
    asked = found.asked
    rate = asked.get("request_rate")
    lacking = f"a file of {found.tool} holds no request's own numbers, so nothing says how sure this one is"
    return Run(
        path=found.path,
        tool=found.tool,
        load=Load(asked.get("concurrency"), _rate(rate), asked.get("batch_size")),
        isl=asked.get("isl"),
        osl=asked.get("osl"),
        workload=None,
        endpoint={key: asked[key] for key in ("streaming", "world_size") if key in asked},
        model=found.model,
        created=found.created,
        verdict="",
        estimates={name: Estimate(value, reason=lacking) for name, value in found.values.items() if value > 0},
        n_failed=found.n_failed,
    )


def _rate(value: Any) -> float | None:
    return None if value is None else float(value)


def _serving(found: OwnResult, steady: bool) -> Run:
    result, plan = found.result, found.result.plan
    load, endpoint = plan.get("load", {}), plan.get("endpoint", {})
    n_ok = result.requests.get("ok") or 0
    totals = result.tokens
    return Run(
        path=found.path,
        tool="tokenclock",
        load=Load(load.get("max_concurrency"), _rate(load.get("request_rate"))),
        isl=totals["isl"] / n_ok if n_ok and totals.get("isl") is not None else None,
        osl=totals["osl"] / n_ok if n_ok and totals.get("osl") is not None else None,
        workload=result.workload.get("sha256"),
        endpoint={"backend": endpoint.get("backend"), "streaming": result.requests.get("streaming")},
        model=str(endpoint.get("model") or ""),
        created=result.created,
        verdict=result.quality.verdict,
        estimates=_steady_estimates(result)
        if steady
        else estimates_of({"latencies": result.latencies, "throughput": result.throughput}, result.confidence),
        incomplete=result.incomplete,
        own=found,
        n_failed=result.requests.get("failed"),
        whole_run=not steady,
    )


def _steady_estimates(result: Result) -> dict[str, Estimate]:
    steady = result.steady or {}
    if steady.get("t_start_ns") is None:
        return {}
    return estimates_of(steady, steady.get("confidence"))


def estimates_of(section: Mapping[str, Any], confidence: Mapping[str, Any] | None) -> dict[str, Estimate]:
    """The numbers of a load test with their intervals.

    Args:
        section: with ``latencies`` and ``throughput`` as a Result has them, of the whole run or of its steady window.
        confidence: of the same part of the run; None where there is none.
    """
    found: dict[str, Estimate | None] = {}
    intervals = confidence or {"latencies": {}, "throughput": {}, "method": "", "n_blocks": 0}
    alone = intervals["method"] == "independent requests"
    for tag in _LATENCIES:
        latency, of_tag = section["latencies"].get(tag), intervals["latencies"].get(tag)
        if latency is None:
            continue
        n = latency["n"] if alone and tag != "itl" else intervals["n_blocks"]
        for statistic in _STATISTICS:
            is_mean = statistic == "mean"
            value = latency["mean"] if is_mean else latency["percentiles"].get("rank", {}).get(statistic[1:])
            interval = None
            if of_tag is not None:
                interval = of_tag["mean"] if is_mean else of_tag["percentiles"].get(statistic[1:])
            lacking = _OLD if confidence is None else f"results have no interval of {statistic}"
            found[f"{tag}.{statistic}"] = estimate(value, interval, max(1, n - 1), lacking)
    for tag in _RATES:
        dof = max(1, intervals["n_blocks"] - 1)
        found[tag] = estimate(section["throughput"].get(tag), intervals["throughput"].get(tag), dof, _OLD)
    return {name: value for name, value in found.items() if value is not None}


def _case(found: OwnResult, case: Mapping[str, Any]) -> Run:
    result, n = found.result, case["n"]
    estimates: dict[str, Estimate | None] = {}
    for tag, series in case["latencies"].items():
        mean, median = series.get("mean_interval_95"), series.get("median_interval_95")
        for name, value, bounds in (("mean", series["mean"], mean), ("p50", series["median"], median)):
            interval = {"low": bounds[0], "high": bounds[1]} if bounds else None
            estimates[f"{tag}.{name}"] = estimate(value, interval, max(1, n - 1), _lacking(tag, n))
        for tail in ("90", "95", "99"):
            value = series["percentiles"].get("rank", {}).get(tail)
            estimates[f"{tag}.p{tail}"] = estimate(value, None, 1, "an offline case has no interval of its tail")
    for tag, rate in case["throughput"].items():
        if isinstance(rate, (int, float)):
            estimates[tag] = _rate_of_case(tag, rate, case, n)
    keys = ("num_beams", "gpu_weights_percent")
    return Run(
        path=found.path,
        tool="tokenclock",
        load=Load(batch_size=case["batch_size"]),
        isl=case["input_len"],
        osl=case["output_len"],
        workload=None,
        endpoint={key: case[key] for key in keys if key in case} | {"family": result.plan.get("family")},
        model=str((result.model or {}).get("name") or ""),
        created=result.created,
        verdict=result.quality.verdict,
        estimates={name: value for name, value in estimates.items() if value is not None},
        incomplete=result.incomplete,
        own=found,
    )


def _lacking(tag: str, n: int) -> str:
    """Why a case has no interval of a mean or a median."""
    if tag == "itl":
        return "gaps of one iteration are not independent of each other"
    return f"{n} iterations are too few" if n < FEWEST_FOR_MEAN else "one iteration rules the mean of all"


def _rate_of_case(tag: str, rate: float, case: Mapping[str, Any], n: int) -> Estimate | None:
    """Rates that are an amount over the mean latency have its interval, turned round."""
    bounds = case["latencies"].get("latency", {}).get("mean_interval_95")
    mean = case["latencies"].get("latency", {}).get("mean")
    if tag not in ("output_throughput", "row_throughput") or not bounds or not mean or bounds[0] <= 0:
        return estimate(rate, None, 1, "no interval of this rate")
    return estimate(rate, {"low": rate * mean / bounds[1], "high": rate * mean / bounds[0]}, max(1, n - 1), "")
