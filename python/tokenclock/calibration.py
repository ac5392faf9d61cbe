"""Measures tokenclock's own error on this machine: known traffic from a paced server, at rising loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from tokenclock import environment
from tokenclock.calibration_store import Calibration, CalibrationPoint
from tokenclock.calibration_trust import disturbance
from tokenclock.errors import MeasurementError
from tokenclock.host_load import host_load
from tokenclock.metrics.client_cost import cpu_use, event_rate, read_lag_ns
from tokenclock.metrics.summary import rank_percentile
from tokenclock.metrics.truth_errors import metric_errors
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.records import Records
from tokenclock.serving.client import LoadRequests, run_load
from tokenclock.serving.paced import PacedServer
from tokenclock.serving.paced_truth import Truth

__all__ = ["FULL", "QUICK", "Level", "calibrate"]

_PROMPT = [5] * 32
_TTFT_MS = 100.0  # long enough for 1024 requests to have left before the first answer


@dataclass(frozen=True)
class Level:
    """A load: streams that all step together every `step_ms`, for about `seconds`."""

    n_streams: int
    step_ms: float
    seconds: float

    @property
    def events_per_s(self) -> float:
        """Token events per second that it asks for."""
        return self.n_streams / self.step_ms * 1e3

    @property
    def n_requests(self) -> int:
        """Enough for a percentile of TTFT to mean something, also with few streams."""
        return max(self.n_streams, 10)

    @property
    def osl(self) -> int:
        """Tokens per answer."""
        return max(8, round(self.n_streams * self.seconds / self.step_ms * 1e3 / self.n_requests))


FULL: tuple[Level, ...] = (
    *(Level(n, 20.0, 2.5) for n in (1, 16, 64, 256, 1024)),
    *(Level(1024, step_ms, 2.5) for step_ms in (14.0, 10.0, 8.0, 6.0)),
)
QUICK: tuple[Level, ...] = tuple(Level(n, 20.0, 0.5) for n in (1, 32, 128))


def calibrate(*, quick: bool = False, on_point: Callable[[CalibrationPoint], None] | None = None) -> Calibration:
    """Sweep streams, then rates; each level against a fresh paced server on another core where there is one.

    Args:
        quick: three short levels, about ten seconds in all.
        on_point: told each point when it is there.

    Returns:
        All points; after Ctrl-C those that were there.

    Raises:
        MeasurementError: the server did not start, or an answer failed.
        KeyboardInterrupt: before the first point was there.
    """
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    machine = environment.collect()
    before, interrupted = host_load(), False
    points: list[CalibrationPoint] = []
    try:
        for level in QUICK if quick else FULL:
            points.append(measure(level))
            if on_point is not None:
                on_point(points[-1])
    except KeyboardInterrupt:
        if not points:
            raise
        interrupted = True
    disturbed = disturbance(points, machine, before.until(host_load())["steal_share"])
    return Calibration(created, quick, machine, tuple(points), disturbed, interrupted)


def measure(level: Level) -> CalibrationPoint:
    """One level, measured and held against the truth. Raises MeasurementError."""
    n = level.n_requests
    requests = LoadRequests(
        prompts=[_PROMPT] * n,
        isl_requested=np.full(n, len(_PROMPT), np.int32),
        osl_requested=np.full(n, level.osl, np.int32),
        t_due_ns=np.zeros(n, np.int64),
    )
    with PacedServer(mode="batch", ttft_ms=_TTFT_MS, itl_ms=level.step_ms) as server:
        plan = ServingPlan(EndpointPlan(model="paced", base_url=server.url), LoadPlan(max_concurrency=level.n_streams))
        records = run_load(plan, requests)
        truth = server.stop()
    if records.client["interrupted"]:
        raise KeyboardInterrupt
    if not records.ok.all():
        row = int((~records.ok).argmax())
        raise MeasurementError(
            f"{int((~records.ok).sum())} of {n} answers of the paced server failed ({records.errors.get(row, '?')}); "
            "calibrate when this machine is less busy"
        )
    return _point(level, records, truth)


def _point(level: Level, records: Records, truth: Truth) -> CalibrationPoint:
    errors = metric_errors(records, truth)
    cpu = cpu_use(records)
    lag = read_lag_ns(records)
    n_events = max(1, records.n_events)
    return CalibrationPoint(
        n_streams=level.n_streams,
        events_per_s=event_rate(records) or level.events_per_s,
        n_events=records.n_events,
        n_requests=errors.n_requests,
        ttft_mean_ns=errors.ttft_mean_ns,
        ttft_p99_ns=errors.ttft_p99_ns,
        itl_p99_ns=errors.itl_p99_ns,
        tpot_p99_ns=errors.tpot_p99_ns,
        e2el_p99_ns=errors.e2el_p99_ns,
        user_ttft_mean_ns=errors.user_ttft_mean_ns,
        read_lag_p99_ns=rank_percentile(np.sort(lag).astype(np.float64), 99),
        cpu_ns_per_event=cpu.ns_per_event or float("nan"),
        core_share=cpu.share_of_core or float("nan"),
        kernel_share=records.client["n_events_kernel"] / n_events,
        coalesced_share=records.client["n_events_coalesced"] / n_events,
    )
