"""The times that TensorRT-LLM's engine keeps of its requests, as phases of a batch that was handed in together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

__all__ = ["batch_phases_ns", "iterations", "ran_together"]


def batch_phases_ns(metrics: Sequence[Any]) -> dict[str, int]:
    """Phases of a batch by the engine's own steady clock.

    ``queue`` is from the first arrival to the first row that was scheduled, ``prefill`` from there until every row had
    its first token, ``ttft`` is both together, ``decode`` is from there to the last token of all rows; so ttft + decode
    is the time of the batch. The client's event loop has no part in any of them.

    Args:
        metrics: `request_perf_metrics` of each row; None where a row has none.

    Returns:
        ns by phase; a phase is left out where a row does not tell, and all are where there are no rows.
    """
    times = [getattr(row, "timing_metrics", None) for row in metrics]
    if not times or any(row is None for row in times):
        return {}
    arrived = _ns(times, "arrival_time", min)
    scheduled = _ns(times, "first_scheduled_time", min)
    first = _ns(times, "first_token_time", max)
    last = _ns(times, "last_token_time", max)
    spans = {
        "queue": (arrived, scheduled),
        "prefill": (scheduled, first),
        "ttft": (arrived, first),
        "decode": (first, last),
    }
    return {
        name: end - begin
        for name, (begin, end) in spans.items()
        if begin is not None and end is not None and end >= begin
    }


def iterations(metrics: Sequence[Any]) -> tuple[list[int], list[int]] | None:
    """(first, last) iteration of the engine that each row took part in; None where a row does not tell."""
    first = [getattr(row, "first_iter", None) for row in metrics]
    last = [getattr(row, "last_iter", None) for row in metrics]
    if not metrics or any(value is None for value in (*first, *last)):
        return None
    return [int(value) for value in first], [int(value) for value in last]  # type: ignore[arg-type]


def ran_together(metrics: Sequence[Any]) -> bool | None:
    """Whether all rows shared every iteration from the first to the last; None where that is not told."""
    told = iterations(metrics)
    return None if told is None else len(set(told[0])) == len(set(told[1])) == 1


def _ns(times: Sequence[Any], name: str, choose: Any) -> int | None:
    """The earliest or latest of one instant over the rows; None where a row lacks it (zero: it did not happen)."""
    values = [getattr(row, name, None) for row in times]
    if any(not isinstance(value, timedelta) or not value for value in values):
        return None
    chosen: timedelta = choose(values)
    return (chosen.days * 86_400 + chosen.seconds) * 1_000_000_000 + chosen.microseconds * 1_000
