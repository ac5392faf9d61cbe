"""What a runtime may have beside `protocol.Runtime`, where it knows its model's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tokenclock.layers import LayerInfo, LayerTime

__all__ = ["LayerLister", "LayerProfiler"]


@runtime_checkable
class LayerProfiler(Protocol):
    """A runtime that can time its layers."""

    def profile_layers(self) -> Sequence[LayerTime]:
        """Run one iteration on the prepared case and time each layer; slower than `run`, and no latency.

        The last thing that is done with a case. It is called on every rank, after all cases of the run were timed.
        """


@runtime_checkable
class LayerLister(Protocol):
    """A runtime that can list its layers."""

    def list_layers(self) -> Sequence[LayerInfo]:
        """The layers of this rank's part of the model, in the model's order. No case needs to be prepared."""
