"""Files beside a point's result: the server's `/metrics` over time, and its own timing of each request."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tokenclock.sweep.metrics_series import MetricsSeries
from tokenclock.sweep.plan import SweepPlan
from tokenclock.sweep.points import Point
from tokenclock.sweep.server_records import join_server_records

__all__ = ["SideFiles"]


class SideFiles:
    """What is kept of one point beside its result.

    Args:
        point: the point.
        plan: for the interval of the scrapes.
        folder: of its files.
    """

    def __init__(self, point: Point, plan: SweepPlan, folder: Path) -> None:
        self._point = point
        self._folder = folder
        self._interval_s = plan.sweep.metrics_interval
        self._series: Path | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While the point runs."""
        if self._interval_s <= 0:
            yield
            return
        path = self._folder / f"{self._point.stem}.metrics.jsonl"
        path.unlink(missing_ok=True)
        with MetricsSeries(self._point.variant.server.url, path, self._interval_s) as series:
            yield
        self._series = path if series.n_written else None

    def finish(self, result: Path) -> dict[str, str]:
        """After a point that is done: kind -> file, relative to the result directory."""
        found = {} if self._series is None else {"metrics": self._series.name}
        joined = join_server_records(result)
        if joined is not None:
            path = self._folder / f"{self._point.stem}.server_times.json"
            path.write_text(json.dumps(joined, indent=1) + "\n", encoding="utf-8")
            found["server_times"] = path.name
        return {kind: f"{self._folder.name}/{name}" for kind, name in found.items()}
