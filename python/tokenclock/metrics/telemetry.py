"""GPU quantities of a run as genai-perf names and scales them: statistics over the looks taken during the load."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenclock.metrics.genai_perf_face import PERCENTILES, RULE
from tokenclock.metrics.summary import distribution, percentile_label

__all__ = ["CONSTANT", "SeenGpus", "dcgm_statistics", "merged_statistics", "nvml_statistics"]

_MIB_GB = 1024 * 1024 / 1e9
# DCGM's field -> name, unit, factor from the field's unit to that one
_FIELDS: dict[str, tuple[str, str, float]] = {
    "DCGM_FI_DEV_POWER_USAGE": ("gpu_power_usage", "W", 1.0),
    "DCGM_FI_DEV_POWER_MGMT_LIMIT": ("gpu_power_limit", "W", 1.0),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("energy_consumption", "MJ", 1e-9),  # from mJ
    "DCGM_FI_DEV_GPU_UTIL": ("gpu_utilization", "%", 1.0),
    "DCGM_FI_PROF_SM_ACTIVE": ("sm_utilization", "%", 100.0),  # from a share
    "DCGM_FI_DEV_MEM_COPY_UTIL": ("memory_copy_utilization", "%", 1.0),
    "DCGM_FI_DEV_ENC_UTIL": ("video_encoder_utilization", "%", 1.0),
    "DCGM_FI_DEV_DEC_UTIL": ("video_decoder_utilization", "%", 1.0),
    "DCGM_FI_DEV_FB_TOTAL": ("total_gpu_memory", "GB", _MIB_GB),
    "DCGM_FI_DEV_FB_USED": ("gpu_memory_used", "GB", _MIB_GB),
    "DCGM_FI_DEV_FB_FREE": ("gpu_memory_free", "GB", _MIB_GB),
    "DCGM_FI_DEV_MEMORY_TEMP": ("gpu_memory_temperature", "°C", 1.0),
    "DCGM_FI_DEV_GPU_TEMP": ("gpu_temperature", "°C", 1.0),
    "DCGM_FI_DEV_SM_CLOCK": ("gpu_clock_sm", "MHz", 1.0),
    "DCGM_FI_DEV_MEM_CLOCK": ("gpu_clock_memory", "MHz", 1.0),
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": ("total_ecc_sbe_volatile", "count", 1.0),
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": ("total_ecc_dbe_volatile", "count", 1.0),
    "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL": ("total_ecc_sbe_aggregate", "count", 1.0),
    "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL": ("total_ecc_dbe_aggregate", "count", 1.0),
    "DCGM_FI_DEV_XID_ERRORS": ("xid_last_error", "count", 1.0),
    "DCGM_FI_DEV_POWER_VIOLATION": ("power_throttle_duration", "us", 1.0),
    "DCGM_FI_DEV_THERMAL_VIOLATION": ("thermal_throttle_duration", "us", 1.0),
    "DCGM_FI_DEV_RETIRED_SBE": ("retired_pages_sbe", "count", 1.0),
    "DCGM_FI_DEV_RETIRED_DBE": ("retired_pages_dbe", "count", 1.0),
    "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": ("total_nvlink_crc_flit_errors", "count", 1.0),
    "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL": ("total_nvlink_crc_data_errors", "count", 1.0),
    "DCGM_FI_DEV_PCIE_TX_THROUGHPUT": ("pcie_transmit_throughput", "KB/s", 1.0),
    "DCGM_FI_DEV_PCIE_RX_THROUGHPUT": ("pcie_receive_throughput", "KB/s", 1.0),
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": ("pcie_replay_counter", "count", 1.0),
}
CONSTANT = ("gpu_power_limit", "total_gpu_memory")
"""Quantities that do not vary: their mean alone is given."""

Readings = Mapping[str, Sequence[Mapping[tuple[str, str], float]]]  # URL -> looks: (field, GPU) -> value


def dcgm_statistics(readings: Readings) -> dict[str, Any] | None:
    """Name -> ``unit``, and ``gpu0``, ``gpu1`` ... -> statistics; GPUs are numbered over all URLs. None without any."""
    gpus = [(url, gpu) for url, looks in readings.items() for gpu in sorted({key[1] for look in looks for key in look})]
    found: dict[str, Any] = {}
    for field, (name, unit, factor) in _FIELDS.items():
        by_gpu = {}
        for number, (url, gpu) in enumerate(gpus):
            values = np.array([look[field, gpu] for look in readings[url] if (field, gpu) in look]) * factor
            if len(values):
                by_gpu[f"gpu{number}"] = _statistics(name, values)
        if by_gpu:
            found[name] = {"unit": unit, **by_gpu}
    return found or None


def _statistics(name: str, values: Any) -> dict[str, float | None]:
    spread = distribution(name, values, PERCENTILES, rules=(RULE,))
    if name in CONSTANT:
        return {"avg": spread.mean}
    percentiles = {f"p{percentile_label(p)}": spread.percentile(p, RULE) for p in PERCENTILES}
    return {"avg": spread.mean, **percentiles, "min": spread.minimum, "max": spread.maximum, "std": spread.std}


def nvml_statistics(gpu: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The same of what our own sampler keeps (``result.gpu``): mean, lowest and highest, and None for the rest."""
    devices = [] if gpu is None else [device for device in gpu["usage"]["per_device"] if not device["lost"]]
    found: dict[str, Any] = {}
    for name, unit, ranges in (
        ("gpu_power_usage", "W", [device["power_w"] for device in devices]),
        ("gpu_temperature", "°C", [device["temperature_c"] for device in devices]),
        ("gpu_clock_sm", "MHz", [device["clocks"].get("sm_mhz") for device in devices]),
    ):
        by_gpu = {
            f"gpu{device['index']}": {
                "avg": known["mean"],
                **{f"p{percentile_label(p)}": None for p in PERCENTILES},
                "min": known["min"],
                "max": known["max"],
                "std": None,
            }
            for device, known in zip(devices, ranges, strict=True)
            if known is not None
        }
        if by_gpu:
            found[name] = {"unit": unit, **by_gpu}
    return found or None


@dataclass(frozen=True)
class SeenGpus:
    """The quantities that one run has of its GPUs.

    Args:
        source: whom they were asked of; runs of one source saw the same GPUs.
        statistics: as of `dcgm_statistics`.
        duration_ns: of the load, over which they were looked at.
    """

    source: Hashable
    statistics: Mapping[str, Any]
    duration_ns: int


def merged_statistics(runs: Sequence[SeenGpus]) -> dict[str, Any] | None:
    """The quantities of all runs, their GPUs numbered one run's after the other's. None without any.

    GPUs that several runs saw are there once: mean by the runs' durations, lowest and highest of all; percentiles and
    deviation of such a GPU are None, as runs keep no single looks.
    """
    found: dict[str, Any] = {}
    first = 0
    for source in dict.fromkeys(run.source for run in runs):
        own = [run for run in runs if run.source == source]
        names = list(dict.fromkeys(name for run in own for name in run.statistics))
        keys = {key for run in own for by_gpu in run.statistics.values() for key in by_gpu if key != "unit"}
        numbers = sorted(int(key.removeprefix("gpu")) for key in keys)
        for name in names:
            unit = next(run.statistics[name]["unit"] for run in own if name in run.statistics)
            for place, number in enumerate(numbers):
                seen = [
                    (run.statistics[name][f"gpu{number}"], run.duration_ns)
                    for run in own
                    if f"gpu{number}" in run.statistics.get(name, {})
                ]
                if seen:
                    found.setdefault(name, {"unit": unit})[f"gpu{first + place}"] = _merged(seen)
        first += len(numbers)
    return found or None


def _merged(seen: Sequence[tuple[Mapping[str, float | None], int]]) -> dict[str, float | None]:
    if len(seen) == 1:
        return dict(seen[0][0])
    merged: dict[str, float | None] = dict.fromkeys(name for statistics, _ in seen for name in statistics)
    for name, pick in (("min", min), ("max", max)):
        known = [value for statistics, _ in seen if (value := statistics.get(name)) is not None]
        if name in merged and known:
            merged[name] = pick(known)
    means = [(value, weight) for statistics, weight in seen if (value := statistics.get("avg")) is not None]
    total = sum(weight for _, weight in means)
    merged["avg"] = sum(value * weight for value, weight in means) / total if total else None
    return merged
