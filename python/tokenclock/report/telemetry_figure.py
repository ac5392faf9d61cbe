"""What GPUs and the server told over time, as a plot on the time axis of the run's other plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tokenclock.metrics.telemetry_lines import TelemetryLine
from tokenclock.report.colours import colour
from tokenclock.report.page import Plot, floats

__all__ = ["panels", "telemetry_plots"]

_HEIGHT_PX, _ROOM_PX = 130, 60  # of a panel, and of the axis below


def panels(lines: Sequence[TelemetryLine]) -> dict[str, list[TelemetryLine]]:
    """Panel -> its lines, in the order they came."""
    found: dict[str, list[TelemetryLine]] = {}
    for line in lines:
        found.setdefault(line.panel, []).append(line)
    return found


def telemetry_plots(
    prefix: str, lines: Sequence[TelemetryLine], time_axis: dict[str, Any], window: list[dict[str, Any]]
) -> list[Plot]:
    """One plot of all panels, one below the other; none without lines.

    Args:
        prefix: of its id.
        lines: what was told.
        time_axis: of the run's other plots.
        window: shape of the steady window.
    """
    found = panels(lines)
    if not found:
        return []
    share, gap = 1 / len(found), 0.16 / len(found)
    layout: dict[str, Any] = {"shapes": window, "hovermode": "x"}
    traces: list[dict[str, Any]] = []
    names = list(dict.fromkeys(line.name for line in lines))
    for i, (title, own) in enumerate(found.items()):
        axis = "y" if i == 0 else f"y{i + 1}"
        top = 1 - i * share
        layout[f"yaxis{axis[1:]}"] = {
            "domain": [max(0.0, top - share + gap), top],
            "rangemode": "normal" if "clock" in title or "temperature" in title else "tozero",
            "nticks": 4,
        }
        layout.setdefault("annotations", []).append(
            {"text": title, "x": 0.005, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper",
             "yanchor": "bottom", "showarrow": False}
        )  # fmt: skip
        for line in own:
            shade = colour(names.index(line.name))
            mode = "lines+markers" if len(line.t_s) == 1 else "lines"  # a line of one reading would not be seen
            traces.append(
                {
                    "type": "scatter", "mode": mode, "name": line.name, "mark": shade, "xaxis": "x", "yaxis": axis,
                    "line": {"color": shade, "width": 1.6}, "x": floats(line.t_s), "y": floats(line.values),
                    "connectgaps": False,
                }
            )  # fmt: skip
    layout["xaxis"] = {**time_axis, "anchor": f"y{len(found)}" if len(found) > 1 else "y"}
    layout["margin"] = {"t": 26}
    return [
        Plot(
            f"{prefix}-telemetry",
            "Telemetry",
            f"What {_tellers(found)} told, on the time axis of the requests."
            + (" The steady window is shaded." if window else ""),
            traces,
            layout,
            wide=True,
            height_px=_ROOM_PX + _HEIGHT_PX * len(found),
            together=prefix,
        )
    ]


def _tellers(found: Iterable[str]) -> str:
    of_gpus = {panel.startswith("GPU") for panel in found}
    told = ["the GPUs of the host of this run"] * (True in of_gpus) + ["the server's own /metrics"] * (False in of_gpus)
    return " and ".join(told)
