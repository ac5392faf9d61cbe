"""What `tokenclock calibrate` found out about a machine, and where it is kept for the runs that come after."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.cache import cache_dir
from tokenclock.errors import UsageError

__all__ = ["ERROR_LIMIT_NS", "Calibration", "CalibrationPoint", "kept_calibration", "kept_path", "machine_key"]

ERROR_LIMIT_NS = 100_000.0
"""The ceiling is the highest rate at which every error stays below this."""

_SCHEMA = 1
_MACHINE_FACTS = ("host", "cpu_model", "cpus_online")


@dataclass(frozen=True)
class CalibrationPoint:
    """One load and how wrong it was measured. Errors are ns, ours - truth; `*_p99_ns` of single values without sign.

    Args:
        n_streams: requests in flight.
        events_per_s: token events that came per second, over all streams.
        n_events: token events compared.
        n_requests: answers compared.
        ttft_mean_ns: error of mean TTFT.
        ttft_p99_ns: error of the 99th percentile of TTFT.
        itl_p99_ns: 99th percentile of the errors of single gaps.
        tpot_p99_ns: 99th percentile of the errors of each answer's TPOT.
        e2el_p99_ns: 99th percentile of the errors of each answer's E2EL.
        user_ttft_mean_ns: error of mean TTFT had the stamps been taken where this program read the events.
        read_lag_p99_ns: 99th percentile of arrival to reading; None with user stamps.
        cpu_ns_per_event: CPU of the client's threads.
        core_share: CPU of the busiest thread, 1.0 = a whole core.
        kernel_share: share of events with a kernel stamp.
        coalesced_share: share of events that came with others in one read and carry one stamp.
    """

    n_streams: int
    events_per_s: float
    n_events: int
    n_requests: int
    ttft_mean_ns: float
    ttft_p99_ns: float
    itl_p99_ns: float
    tpot_p99_ns: float
    e2el_p99_ns: float
    user_ttft_mean_ns: float
    read_lag_p99_ns: float | None
    cpu_ns_per_event: float
    core_share: float
    kernel_share: float
    coalesced_share: float

    @property
    def worst_ns(self) -> float:
        """The largest of its errors, without sign."""
        return max(map(abs, (self.ttft_mean_ns, self.ttft_p99_ns, self.itl_p99_ns, self.tpot_p99_ns)))


@dataclass(frozen=True)
class Calibration:
    """All points of one calibration, in rising order of rate, and the machine they were measured on.

    Args:
        created: ISO time.
        quick: made with few short points.
        machine: facts of `environment.collect`.
        points: at least one.
        disturbed: what speaks against the ceiling, such as other work on the machine; None: nothing is known to.
        interrupted: made by Ctrl-C before all loads were measured.
    """

    created: str
    quick: bool
    machine: Mapping[str, Any]
    points: tuple[CalibrationPoint, ...]
    disturbed: str | None = None
    interrupted: bool = False

    @property
    def ceiling_events_per_s(self) -> float | None:
        """The highest rate up to which every point's errors stay below the limit; None when the first is past it."""
        ceiling = None
        for point in sorted(self.points, key=lambda point: point.events_per_s):
            if point.worst_ns >= ERROR_LIMIT_NS:
                break
            ceiling = point.events_per_s
        return ceiling

    @property
    def ceiling_was_met(self) -> bool:
        """Whether a higher load was tried and was past the limit; otherwise the ceiling is a lower bound."""
        return any(point.worst_ns >= ERROR_LIMIT_NS for point in self.points)

    @property
    def uses_kernel_stamps(self) -> bool:
        """Whether nearly every event was stamped by the kernel."""
        return min(point.kernel_share for point in self.points) > 0.99

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with what follows from the points."""
        found = {
            "ceiling_events_per_s": self.ceiling_events_per_s,
            "ceiling_was_met": self.ceiling_was_met,
            "error_limit_ns": ERROR_LIMIT_NS,
        }
        head = {"schema": _SCHEMA, "created": self.created, "quick": self.quick}
        head |= {"disturbed": self.disturbed, "interrupted": self.interrupted}
        return {**head, **found, "machine": dict(self.machine), "points": [asdict(point) for point in self.points]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """What `to_dict` gave. Raises UsageError for anything else."""
        try:
            if data["schema"] != _SCHEMA:
                raise UsageError(f"the calibration has schema {data['schema']}, expected {_SCHEMA}; calibrate again")
            points = tuple(CalibrationPoint(**point) for point in data["points"])
            doubts = data.get("disturbed"), data.get("interrupted", False)
            return cls(data["created"], data["quick"], dict(data["machine"]), points, *doubts)
        except (KeyError, TypeError) as error:
            raise UsageError(f"this is no calibration of tokenclock ({error}); calibrate again") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all; folders are made. Raises OSError."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(json.dumps(self.to_dict(), indent=1).encode("ascii"))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read what `save` wrote. Raises UsageError, or OSError when there is no such file."""
        try:
            data = json.loads(Path(path).read_text(encoding="ascii"))
        except ValueError as error:
            raise UsageError(f"{path} is no JSON ({error}); calibrate again") from error
        return cls.from_dict(data)


def machine_key(machine: Mapping[str, Any]) -> str:
    """A short name that tells this machine from others that share a home directory."""
    facts = json.dumps([machine.get(name) for name in _MACHINE_FACTS])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def kept_path(machine: Mapping[str, Any]) -> Path:
    """Where the calibration of the machine with these facts is kept."""
    return cache_dir() / f"calibration-{machine_key(machine)}.json"


def kept_calibration(machine: Mapping[str, Any]) -> Calibration | None:
    """The calibration kept for that machine; None when there is none, or none that can be read."""
    try:
        return Calibration.load(kept_path(machine))
    except (OSError, UsageError):
        return None
