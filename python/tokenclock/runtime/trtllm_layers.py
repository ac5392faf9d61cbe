"""Layers of a TensorRT engine: what its inspector says, and what its profiler was told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tokenclock.errors import MeasurementError
from tokenclock.layers import LayerInfo, LayerPhase, LayerTime

__all__ = ["inspect", "new_profiler", "sum_by_layer", "times_of_steps"]

_STEP = "step"
"""A session marks the end of each step by a layer of this name, whose time is the step's number."""


def inspect(inspector: Any, n_layers: int) -> list[LayerInfo]:
    """What the engine's inspector says of each layer: the name alone, unless the engine was built with
    ``--profiling_verbosity detailed``."""
    import tensorrt

    form = tensorrt.LayerInformationFormat.JSON
    return [_info(inspector.get_layer_information(index, form)) for index in range(n_layers)]


def _info(text: str) -> LayerInfo:
    try:
        told = json.loads(text)
    except ValueError:
        told = text.strip()
    if not isinstance(told, dict):
        return LayerInfo(" ".join(str(told).split()))
    others = {key: value for key, value in told.items() if key not in ("Name", "LayerType", "Inputs", "Outputs")}
    return LayerInfo(
        str(told.get("Name", "")),
        str(told.get("LayerType", "")),
        inputs=[_tensor(tensor) for tensor in told.get("Inputs") or ()],
        outputs=[_tensor(tensor) for tensor in told.get("Outputs") or ()],
        text=json.dumps(others, sort_keys=True) if others else "",
    )


def _tensor(told: Any) -> str:
    if not isinstance(told, dict):
        return str(told)
    shape = tuple(told.get("Dimensions") or ())
    return " ".join([str(told.get("Name", "")), str(shape), str(told.get("Format/Datatype", ""))]).strip()


def times_of_steps(results: Sequence[tuple[str, float]]) -> list[LayerTime]:
    """Layers of a session's profile, (name, ms) one after the other with a mark at the end of each step; what comes
    before the first mark of step 0 is the context phase.

    Raises:
        MeasurementError: there are none, or no step was marked.
    """
    found: list[LayerTime] = []
    begin = 0
    by_phase: dict[LayerPhase, list[tuple[str, float]]] = {"context": [], "generation": []}
    for index, (name, value) in enumerate(results):
        if name == _STEP:
            by_phase["context" if value == 0 else "generation"] += results[begin:index]
            begin = index + 1
    for phase, layers in by_phase.items():
        found += sum_by_layer(layers, phase)
    if not found:
        raise MeasurementError("the session's profiler was told of no layer")
    return found


def sum_by_layer(layers: Iterable[tuple[str, float]], phase: LayerPhase) -> list[LayerTime]:
    """(name, ms) of single calls -> one entry a layer, in the order in which they first ran."""
    calls: dict[str, list[float]] = {}
    for name, ms in layers:
        calls.setdefault(name, []).append(ms)
    return [LayerTime(name, "", phase, len(each), round(sum(each) * 1e6)) for name, each in calls.items()]


def new_profiler() -> Any:
    """A profiler for an execution context; it keeps (name, ms) of each layer in `results`."""
    import tensorrt

    class Profiler(tensorrt.IProfiler):  # type: ignore[misc]  # the package is not here when types are checked
        def __init__(self) -> None:
            super().__init__()
            self.results: list[tuple[str, float]] = []

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.results.append((layer_name, ms))

    return Profiler()
