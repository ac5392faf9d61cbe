"""The block of ``--gpu-telemetry``: what the GPUs of this host did during the load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokenclock.report.format import NOT_MEASURED, fixed, heading, own_row, percent, rule, spread, wrapped

__all__ = ["render", "table_of"]

_GIB = 1 << 30


def render(gpu: Mapping[str, Any]) -> str:
    """The block as text, ending in a newline.

    Args:
        gpu: ``result.gpu``.
    """
    return "\n".join([*_lines(gpu), rule()]) + "\n"


def table_of(gpu: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and one row for each GPU: the block's figures as a table.

    Args:
        gpu: ``result.gpu``.
    """
    head = ["GPU", "peak memory, device (GiB)", "power mean, max (W)", "energy (J)", "SM clock min, mean, max (MHz)",
            "temperature mean, max (C)", "clocks held down by"]  # fmt: skip
    rows = []
    for device in gpu["usage"]["per_device"]:
        reasons = device["throttle_reasons"]
        holding = {name: share for name, share in (reasons or {}).items() if name != "gpu_idle"}
        said = ", ".join(f"{name} {percent(share)}" for name, share in holding.items())
        rows.append(
            [
                f"{device['index']}: {device['name'] or device['uuid']}",
                _gib(device["peak_device_bytes"]),
                _figures(device["power_w"], "mean", "max", decimals=1),
                fixed(device["energy_j"], 1),
                _figures(device["clocks"].get("sm_mhz"), "min", "mean", "max"),
                _figures(device["temperature_c"], "mean", "max"),
                said or (NOT_MEASURED if reasons is None else "nothing"),
            ]
        )
    return head, rows


def _lines(gpu: Mapping[str, Any]) -> Iterator[str]:
    usage = gpu["usage"]
    yield heading(" GPUs of this host ", "=")
    if not gpu["server_is_on_this_host"]:
        yield from wrapped("The server is on another host: these are not its GPUs.", "", "")
    if gpu["unavailable"] is not None:
        yield from wrapped(f"{NOT_MEASURED}: {gpu['unavailable']}", "", "  ")
    for device in usage["per_device"]:
        yield from _device_lines(device)
    if len(usage["per_device"]) > 1:
        yield heading(" All together ")
        yield own_row("Mean power (W):", fixed(usage["mean_power_w"], 1))
        yield own_row("Energy during the load (J):", fixed(usage["energy_j"], 1))
    if usage["per_device"]:
        looks = spread([fixed(gpu["achieved_interval_ms"], 1), fixed(gpu["longest_gap_ms"], 1)])
        yield own_row("Looked at every, at worst (ms):", looks)
    for warning in usage["warnings"]:
        yield from wrapped(warning, "  ", "    ")


def _device_lines(device: Mapping[str, Any]) -> Iterator[str]:
    yield from wrapped(f"GPU {device['index']}: {device['name'] or device['uuid']}", "", "  ")
    if device["lost"]:
        yield own_row("Fell off the bus:", NOT_MEASURED)
        return
    yield own_row("Peak memory, device (GiB):", _gib(device["peak_device_bytes"]))
    yield own_row("Peak memory, processes (GiB):", _gib(device["peak_process_bytes"]))
    yield own_row("Power mean, max (W):", _figures(device["power_w"], "mean", "max", decimals=1))
    yield own_row("Energy during the load (J):", fixed(device["energy_j"], 1))
    yield own_row("SM clock min, mean, max (MHz):", _figures(device["clocks"].get("sm_mhz"), "min", "mean", "max"))
    yield own_row("Temperature mean, max (C):", _figures(device["temperature_c"], "mean", "max"))
    yield from _throttle_lines(device["throttle_reasons"])


def _throttle_lines(reasons: Mapping[str, float] | None) -> Iterator[str]:
    """Reasons with the share of the time at which they held the clocks down; being idle is none."""
    holding = {name: share for name, share in (reasons or {}).items() if name != "gpu_idle"}
    if reasons is None or not holding:
        yield own_row("Clocks held down by:", NOT_MEASURED if reasons is None else "nothing")
    for name, share in holding.items():
        yield own_row(f"Clocks held down by {name}:", percent(share))


def _gib(value: int | None) -> str:
    return fixed(None if value is None else value / _GIB)


def _figures(found: Mapping[str, float] | None, *names: str, decimals: int = 0) -> str:
    return spread(fixed(None if found is None else found[name], decimals) for name in names)
