"""What is known of single layers of a model: how long each took, and what each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["LayerInfo", "LayerPhase", "LayerTime"]

LayerPhase: TypeAlias = Literal["context", "generation"]
"""``context``: up to the first token, for encoders the whole iteration; ``generation``: every later step."""


@dataclass(frozen=True)
class LayerTime:
    """What one layer took in one phase of one profiled iteration.

    Args:
        name: of the layer, as the model has it.
        kind: such as ``Linear``; empty where it is not known.
        phase: part of the iteration.
        n_calls: times it ran in the phase.
        time_ns: of all these together.
    """

    name: str
    kind: str
    phase: LayerPhase
    n_calls: int
    time_ns: int


@dataclass(frozen=True)
class LayerInfo:
    """What one layer is; empty or None where the runtime does not say.

    Args:
        name: of the layer, as the model has it.
        kind: such as ``Linear``.
        n_parameters: weights and biases of its own, in numbers.
        weights: shape and type of each, such as ``weight (64, 128) float32``.
        inputs, outputs: the same of tensors that go in and come out.
        text: whatever else the runtime says, in one line.
    """

    name: str
    kind: str = ""
    n_parameters: int | None = None
    weights: Sequence[str] = ()
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    text: str = ""
