"""Turns what was asked of the server around a run, and the probes beside it, into what a result says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenclock.metrics.probes import summarise_probes
from tokenclock.metrics.server_side import energy, spec_decode
from tokenclock.metrics.telemetry import dcgm_statistics
from tokenclock.metrics.throughput import token_totals
from tokenclock.metrics.time_breakdown import time_breakdown
from tokenclock.plan import ServingPlan
from tokenclock.records import Records
from tokenclock.serving.around import Findings

__all__ = ["SideResults", "own_ids", "side_results"]


@dataclass(frozen=True)
class SideResults:
    """What a result holds beside the load's own numbers.

    Args:
        server: ``commands`` (path -> None or what went wrong), ``spec_decode``, ``energy``, ``time_breakdown``.
        probes: counts and latency of the probes; None when none were asked.
        record_rows: for each request the index of the server's record of it, -1 where unknown; None without records.
        perf_metrics: the server's records as it gave them.
        gpu: GPUs of this host during the load; None when it was not asked for.
        dcgm: statistics of what DCGM exporters told during the load; None without any.
    """

    server: Mapping[str, Any]
    probes: Mapping[str, Any] | None
    record_rows: Sequence[int] | None
    perf_metrics: Sequence[Mapping[str, Any]] | None
    gpu: Mapping[str, Any] | None = None
    dcgm: Mapping[str, Any] | None = None


def side_results(
    plan: ServingPlan,
    findings: Findings,
    probe_columns: Mapping[str, Any] | None,
    records: Records,
    gpu: Mapping[str, Any] | None = None,
) -> SideResults:
    """Put the findings of a run together."""
    before, after = findings.before, findings.after
    server: dict[str, Any] = {
        "commands": dict(findings.commands),
        "spec_decode": spec_decode(before.spec_decode, after.spec_decode),
        "energy": energy(before.energy, after.energy, token_totals(records).osl),
        "time_breakdown": None,
    }
    rows = None
    if findings.perf_metrics is not None:
        found = time_breakdown(findings.perf_metrics, records, own_ids(plan, records.n_requests))
        rows = found.rows
        server["time_breakdown"] = {
            "method": found.method,
            "n_records": found.n_records,
            "n_joined": found.n_joined,
            "segments": {name: dict(values) for name, values in found.segments.items()},
        }
    probes = None
    if probe_columns is not None:
        probes = summarise_probes(probe_columns, plan.load.probe_request_rate)
    return SideResults(server, probes, rows, findings.perf_metrics, gpu, dcgm_statistics(findings.dcgm))


def own_ids(plan: ServingPlan, n: int) -> list[str] | None:
    """The `x-request-id` of each row; None when none was sent."""
    prefix = plan.load.request_id_prefix
    return None if prefix is None else [f"{prefix}{row}" for row in range(n)]
