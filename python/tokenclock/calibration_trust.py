"""Whether a calibration says what this machine can do, or what else ran on it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenclock.calibration_store import ERROR_LIMIT_NS, CalibrationPoint

__all__ = ["BUSY_LOAD_PER_CORE", "STEAL_SHARE", "disturbance"]

BUSY_LOAD_PER_CORE = 0.5
"""Above this load average of the last minute, per core, a machine is busy: server and client need a core each."""
STEAL_SHARE = 0.02
"""Above this share of its time a hypervisor has given the machine to others."""


def disturbance(
    points: Sequence[CalibrationPoint], machine: Mapping[str, Any], steal_share: float | None = None
) -> str | None:
    """What speaks against the ceiling that follows from the points; None where nothing does.

    Args:
        points: in the order of the loads asked for, rising.
        machine: facts of `environment.collect` from before the first load.
        steal_share: 0..1, during the loads; None where it is unknown.
    """
    reasons = [_order(points), _load(machine)]
    if steal_share is not None and steal_share > STEAL_SHARE:
        reasons.append(f"the hypervisor gave {steal_share:.0%} of its time to others (above {STEAL_SHARE:.0%})")
    return "; ".join(reason for reason in reasons if reason) or None


def _order(points: Sequence[CalibrationPoint]) -> str | None:
    """A load that was too much cannot be followed by a higher one that was not."""
    failed = next((at for at, point in enumerate(points) if point.worst_ns >= ERROR_LIMIT_NS), len(points))
    later = next((point for point in points[failed:] if point.worst_ns < ERROR_LIMIT_NS), None)
    if later is None:
        return None
    low, limit_us = points[failed], ERROR_LIMIT_NS / 1e3
    return (
        f"{low.events_per_s:.0f} events/s were off by {low.worst_ns / 1e3:.0f} us (limit {limit_us:.0f}), "
        f"{later.events_per_s:.0f} by {later.worst_ns / 1e3:.0f} only"
    )


def _load(machine: Mapping[str, Any]) -> str | None:
    load, n_cores = (machine.get("load_average") or [None])[0], machine.get("cpus_online")
    if load is None or not n_cores or load <= BUSY_LOAD_PER_CORE * n_cores:
        return None
    return f"the load average before was {load:.1f} (above {BUSY_LOAD_PER_CORE * n_cores:g}, half of the cores)"
