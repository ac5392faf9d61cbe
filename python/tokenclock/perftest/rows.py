"""Rows of the result files: the flow's columns, one row a metric, whatever became of it."""

from __future__ import annotations

from typing import Any

from tokenclock.perftest.case import ServerCase
from tokenclock.perftest.metrics import METRICS
from tokenclock.perftest.outcome import MetricRow, Outcome

__all__ = ["COLUMNS", "rows_of"]

COLUMNS = (
    "network_name",
    "network_hash",
    "sm_clk",
    "mem_clk",
    "gpu_idx",
    "device_subtype",
    "perf_case_name",
    "test_name",
    "original_test_name",
    "perf_metric",
    "total_time__sec",
    "start_timestamp",
    "end_timestamp",
    "state",
    "command",
    "threshold",
    "absolute_threshold",
    "metric_type",
)
"""Of perf_script_test_results.csv, in order."""


def rows_of(outcome: Outcome, prefix: str = "") -> list[dict[str, Any]]:
    """One mapping a metric, by `COLUMNS`; None where there is no value.

    A case that ended before it had rows gives one without a metric type, so that it can be told from one that was never
    to run.

    Args:
        outcome: of a case.
        prefix: of the session (``--test-prefix``), before the names of cases.
    """
    domain = outcome.case.name.partition("::")[0] or "perf/test_perf.py"
    if prefix:
        domain = f"{prefix}/{domain}"
    return [_row(outcome, row, domain) for row in outcome.rows] or [_bare_row(outcome, domain)]


def _row(outcome: Outcome, row: MetricRow, domain: str) -> dict[str, Any]:
    test = f"test_perf_metric_{row.metric_type.lower()}[{row.network or outcome.case.canonical}]"
    metric = METRICS[row.metric_type]
    return {
        **_common(outcome),
        "network_name": row.network or outcome.case.canonical,
        "network_hash": test,
        "perf_case_name": f"{domain}::{test}",
        "test_name": test,
        "perf_metric": row.value,
        "total_time__sec": round((row.ended - row.started).total_seconds(), 3),
        "start_timestamp": f"{row.started:%Y-%m-%d %H:%M:%S}",
        "end_timestamp": f"{row.ended:%Y-%m-%d %H:%M:%S}",
        "state": row.state,
        "command": row.command,
        "threshold": metric.threshold,
        "absolute_threshold": metric.absolute_threshold,
        "metric_type": row.metric_type,
    }


def _bare_row(outcome: Outcome, domain: str) -> dict[str, Any]:
    test = f"test_perf[{outcome.case.canonical}]"
    return {
        **_common(outcome),
        "network_name": outcome.case.canonical,
        "network_hash": test,
        "perf_case_name": f"{domain}::{test}",
        "test_name": test,
        "state": outcome.state,
    }


def _common(outcome: Outcome) -> dict[str, Any]:
    sample = outcome.gpu_samples[0] if outcome.gpu_samples else {}
    label = outcome.case.label
    return {
        **dict.fromkeys(COLUMNS),
        "sm_clk": sample.get("gpu_clock__MHz"),
        "mem_clk": sample.get("memory_clock__MHz"),
        "gpu_idx": sample.get("gpu_id"),
        "device_subtype": None if isinstance(label, ServerCase) else label.subtype,
        "original_test_name": outcome.case.name,
    }
