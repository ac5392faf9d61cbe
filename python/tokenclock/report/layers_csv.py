"""CSV files of layers: what each took in each case, and what each is."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from tokenclock import units
from tokenclock.atomic_file import atomic_write
from tokenclock.layers import LayerInfo, LayerTime

__all__ = ["layers_path", "write_layer_info", "write_profile"]


def layers_path(result: str | os.PathLike[str], what: str) -> Path:
    """``bert.json`` -> ``bert.layer_profile.csv``; `what` is ``layer_profile`` or ``layer_info``."""
    path = Path(result)
    return path.with_name(f"{path.stem}.{what}.csv")


def write_profile(path: str | os.PathLike[str], cases: Sequence[tuple[str, Sequence[LayerTime]]]) -> None:
    """One row per case, phase and layer, in the order in which layers first ran.

    Args:
        path: the file; it is replaced.
        cases: label of a case, and its layers on rank 0. Layers that took no time are left out, as the original did.

    Raises:
        OSError: it cannot be written.
    """
    rows = [
        [label, layer.phase, layer.name, layer.kind, layer.n_calls, f"{units.ns_to_ms(layer.time_ns):.6f}"]
        for label, layers in cases
        for layer in layers
        if layer.time_ns
    ]
    _write(path, ["case", "phase", "layer", "kind", "calls", "time(ms)"], rows)


def write_layer_info(path: str | os.PathLike[str], layers: Sequence[LayerInfo]) -> None:
    """One row per layer, in the model's order; shapes are separated by ``; ``.

    Raises:
        OSError: it cannot be written.
    """
    rows = [
        [
            layer.name,
            layer.kind,
            "" if layer.n_parameters is None else layer.n_parameters,
            *("; ".join(shapes) for shapes in (layer.weights, layer.inputs, layer.outputs)),
            layer.text,
        ]
        for layer in layers
    ]
    _write(path, ["layer", "kind", "parameters", "weights", "inputs", "outputs", "text"], rows)


def _write(path: str | os.PathLike[str], header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
