"""A metric over time as a picture, a line for each group. Needs matplotlib."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tokenclock import units
from tokenclock.atomic_file import atomic_write
from tokenclock.report.colours import MARKERS, colour
from tokenclock.store.series import Point
from tokenclock.store.words import shown_unit

__all__ = ["write"]

_MOST = 12
_MOST_POINTS = 200
_BINS = 100


def write(
    found: Mapping[tuple[str, ...], Sequence[Point]], metric: str, unit: str, path: str | os.PathLike[str]
) -> None:
    """Write a PNG of 1800 x 900 pixels, whole or not at all.

    Args:
        found: group -> points, as `Database.series` gives them; the twelve with most runs are drawn.
        metric, unit: of the points.
        path: the file.

    Raises:
        ImportError: no matplotlib.
        OSError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    most = sorted(found, key=lambda group: -len(found[group]))[:_MOST]
    drawn = [group for group in found if group in most]
    for index, group in enumerate(drawn):
        _draw(axis, " / ".join(filter(None, group)) or ("not told" if group else "all runs"), found[group], index, unit)
    axis.set_ylabel(f"{metric} ({shown_unit(unit)})")
    left_out = f"; {len(found) - len(drawn)} groups with fewer runs not drawn" if len(found) > len(drawn) else ""
    axis.set_title(f"{metric} over time, UTC{left_out}")
    axis.grid(alpha=0.3)
    axis.tick_params(axis="x", labelrotation=30)
    if len(drawn) > 1 or any(drawn[0]):
        axis.legend(fontsize=8)
    with atomic_write(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # drawn as boxes; the table has the names
        figure.savefig(file, format="png", dpi=150)


def _draw(axis: Any, name: str, points: Sequence[Point], index: int, unit: str) -> None:
    """Points with their intervals; of many the median of each hundredth, with the band that holds 80 % of them."""
    per_unit = units.ns_to_ms(1.0) if unit == "ns" else 1.0
    times = [point.created.replace(tzinfo=None) for point in points]
    values = [point.value * per_unit for point in points]
    style = {"color": colour(index), "linewidth": 1}
    if len(points) > _MOST_POINTS:
        edges = [i * len(points) // _BINS for i in range(_BINS + 1)]
        bins = [sorted(values[a:b]) for a, b in pairwise(edges)]
        middles = [times[(a + b) // 2] for a, b in pairwise(edges)]
        low, middle, high = ([_at(part, share) for part in bins] for share in (0.1, 0.5, 0.9))
        axis.fill_between(middles, low, high, color=colour(index), alpha=0.2, linewidth=0)
        axis.plot(middles, middle, label=f"{name} (medians of {len(bins[0])} runs)", **style)
        return
    axis.plot(times, values, marker=MARKERS[index % len(MARKERS)], markersize=4, label=name, **style)
    for when, point in zip(times, points, strict=True):
        if point.low is not None and point.high is not None:
            axis.plot([when, when], [point.low * per_unit, point.high * per_unit], color=colour(index), alpha=0.4)


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
