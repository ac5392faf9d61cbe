"""The table of a calibration: each load, how wrong every metric was, what an event cost; and the ceiling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenclock.calibration_store import ERROR_LIMIT_NS, Calibration, CalibrationPoint
from tokenclock.report.format import NOT_MEASURED, fixed, fixed_us, percent

__all__ = ["COLUMNS", "header", "of_cores", "render", "row_of"]

COLUMNS: tuple[tuple[str, int], ...] = (
    ("streams", 7),
    ("events/s", 9),
    ("TTFT", 8),
    ("p99 TTFT", 9),
    ("ITL", 8),
    ("TPOT", 8),
    ("E2EL", 9),
    ("user TTFT", 10),
    ("lag p99", 9),
    ("CPU us", 7),
    ("core", 8),
    ("shared", 8),
)


def of_cores(machine: Mapping[str, Any]) -> str:
    """How many cores there are, in words."""
    n = machine.get("cpus_allowed")
    return f"{n} core" if n == 1 else f"{n} cores"


def header() -> str:
    """Two lines: what the columns are, and a rule."""
    names = " ".join(f"{name:>{width}}" for name, width in COLUMNS)
    return f"{names}\n{'-' * len(names)}"


def row_of(point: CalibrationPoint) -> str:
    """One line of the table; errors and lags in us, CPU in us per event."""
    cells = (
        str(point.n_streams),
        fixed(point.events_per_s, 0),
        *(fixed_us(value, 1) for value in (point.ttft_mean_ns, point.ttft_p99_ns, point.itl_p99_ns)),
        *(fixed_us(value, 1) for value in (point.tpot_p99_ns, point.e2el_p99_ns, point.user_ttft_mean_ns)),
        fixed_us(point.read_lag_p99_ns, 1),
        fixed_us(point.cpu_ns_per_event, 2),
        percent(point.core_share),
        percent(point.coalesced_share),
    )
    return " ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True))


def render(calibration: Calibration) -> str:
    """What is below the rows: legend, machine, sources of stamps, and the ceiling; ends in a newline."""
    machine = calibration.machine
    load = machine.get("load_average") or [None]
    ceiling = calibration.ceiling_events_per_s
    limit = f"{ERROR_LIMIT_NS / 1e3:.0f} us"
    says = NOT_MEASURED if ceiling is None else f"{ceiling:.0f} events/s"
    if ceiling is not None and not calibration.ceiling_was_met:
        says = f"at least {says}, the highest load tried"
    lines = [
        "",
        "Errors in us, ours - truth: of mean and p99 TTFT; p99 of single gaps (ITL), of each answer's TPOT and E2EL.",
        "user TTFT: the error of mean TTFT had this program stamped what it read. shared: events with another's stamp.",
        f"Stamps: {'kernel' if calibration.uses_kernel_stamps else 'user space'}; "
        f"clock source: {machine.get('clock_source') or NOT_MEASURED}",
        f"Machine: {machine.get('cpu_model') or machine.get('machine')}, {of_cores(machine)}, "
        f"kernel {machine.get('kernel')}, load average before {fixed(load[0], 1)}",
        f"Ceiling (every error of TTFT, ITL and TPOT below {limit}): {says}",
    ]
    if ceiling is None:
        lines.append(f"At the smallest load already an error is past {limit}: stop other work on this machine.")
    if calibration.disturbed is not None:
        lines.append(f"The machine was disturbed, so this is no ceiling of its own: {calibration.disturbed}.")
    if (machine.get("cpus_allowed") or 0) == 1:
        lines.append("Server and client shared the one core there is: errors are too high.")
    return "\n".join(lines) + "\n"
