"""A calibration as a picture: error of each metric and CPU per event over the rate. Needs matplotlib."""

from __future__ import annotations

import os
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.calibration_store import ERROR_LIMIT_NS, Calibration
from tokenclock.report.calibration_table import of_cores

__all__ = ["write"]

_LINES: tuple[tuple[str, str, str], ...] = (  # attribute, label, colour (Okabe and Ito: told apart by all eyes)
    ("ttft_mean_ns", "mean TTFT", "#0072B2"),
    ("ttft_p99_ns", "p99 TTFT", "#56B4E9"),
    ("itl_p99_ns", "single gap (ITL), p99", "#009E73"),
    ("tpot_p99_ns", "TPOT of an answer, p99", "#E69F00"),
    ("e2el_p99_ns", "E2EL of an answer, p99", "#CC79A7"),
)
_USER = ("user_ttft_mean_ns", "mean TTFT, had user space stamped", "#999999")


def write(calibration: Calibration, path: str | os.PathLike[str]) -> None:
    """Write a PNG, whole or not at all. Raises ImportError without matplotlib, OSError when it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    errors, cost = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    points = sorted(calibration.points, key=lambda point: point.events_per_s)
    rates = [point.events_per_s for point in points]
    for name, label, colour in _LINES:
        errors.plot(rates, [abs(getattr(p, name)) / 1e3 for p in points], "o-", color=colour, label=label, markersize=4)
    name, label, colour = _USER
    errors.plot(rates, [abs(getattr(p, name)) / 1e3 for p in points], "x--", color=colour, label=label, markersize=5)
    errors.axhline(ERROR_LIMIT_NS / 1e3, color="black", linewidth=0.8, linestyle=":")
    errors.set(xscale="log", yscale="log", ylabel="error without sign (us)")
    errors.legend(fontsize=8, loc="upper left")
    _draw_ceiling(errors, calibration)
    cost.plot(rates, [point.cpu_ns_per_event / 1e3 for point in points], "o-", color="#D55E00", markersize=4)
    cost.set(xscale="log", ylim=(0, None), ylabel="client CPU per event (us)", xlabel="token events per second")
    for axes in (errors, cost):
        axes.grid(True, which="major", linewidth=0.4, alpha=0.6)
    machine = calibration.machine
    stamps = "kernel" if calibration.uses_kernel_stamps else "user-space"
    doubt = "" if calibration.disturbed is None else "; the machine was disturbed"
    figure.suptitle(
        f"tokenclock's own error on {machine.get('host')} ({machine.get('cpu_model') or machine.get('machine')}, "
        f"{of_cores(machine)})\n{stamps} stamps, {calibration.created[:10]}{doubt}",
        fontsize=10,
    )
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=130)


def _draw_ceiling(axes: Any, calibration: Calibration) -> None:
    ceiling = calibration.ceiling_events_per_s
    if ceiling is None:
        return
    word = "ceiling" if calibration.ceiling_was_met else "ceiling: at least"
    axes.axvline(ceiling, color="black", linewidth=0.8, linestyle=":")
    axes.annotate(
        f"{word}\n{ceiling:,.0f}/s", (ceiling, 0.02), xycoords=("data", "axes fraction"), fontsize=8,
        ha="right", xytext=(-4, 0), textcoords="offset points",
    )  # fmt: skip
