"""What is told of an offline run while it goes on, on rank 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenclock.offline.loop import CaseRun

__all__ = ["Opening", "Watcher"]


@dataclass(frozen=True)
class Opening:
    """What is known before the first case: what names of files and headers are made of."""

    model: Mapping[str, Any]
    runtime: str
    world_size: int
    compute_cap: str | None
    keys: tuple[str, ...]
    n_cases: int
    created: str


class Watcher:
    """Told of a run's course; each method does nothing unless it is replaced. What a method raises ends the run."""

    def opened(self, opening: Opening) -> None:
        """The model is loaded; the first case comes next."""

    def going_on(self, run: CaseRun) -> None:
        """Between two iterations, outside of what is timed: be quick."""

    def case_ended(self, case: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """A case is over: its entry in the result, and its values by benchmark.py's names."""
