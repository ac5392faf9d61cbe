"""Facts of the CUDA device that a process uses, by the number that CUDA gives it there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenclock.device.facts import collect_facts
from tokenclock.device.visible import HostGpu, visible_devices

__all__ = ["DeviceFacts", "device_facts", "visible_index"]


@dataclass(frozen=True)
class DeviceFacts:
    """One CUDA device.

    Args:
        index: CUDA's number of it in this process, as in ``cuda:0``.
        name: such as ``NVIDIA H100 80GB HBM3``.
        compute_cap: compute capability as in file names, such as ``sm90``.
        count: CUDA devices that this process sees.
        driver_version: such as ``550.54.15``; None where nothing tells it.
        cuda_version: that the driver can run, such as ``12.4``.
        uuid: ``GPU-...``, or ``MIG-...`` for a slice of one.
        host_index: NVML's number of the GPU on this host, as nvidia-smi shows it; None without NVML.
    """

    index: int
    name: str
    compute_cap: str | None
    count: int
    driver_version: str | None
    cuda_version: str | None
    uuid: str
    host_index: int | None = None


def device_facts(index: int = 0) -> DeviceFacts | None:
    """Facts of CUDA device `index` of this process; None where there is no such device, or no driver.

    The driver and NVML are asked by another process, once: CUDA is not started in this one. CUDA_VISIBLE_DEVICES
    counts as it is now.
    """
    found = collect_facts()
    devices = [] if found is None else _devices(found)
    if found is None or not 0 <= index < len(devices):
        return None
    device = devices[index]
    return DeviceFacts(
        index=index,
        name=device["name"],
        compute_cap=device["compute_cap"],
        count=len(devices),
        driver_version=found["driver_version"],
        cuda_version=found["cuda_version"],
        uuid=device["uuid"],
        host_index=_host_index(device["uuid"], found),
    )


def visible_index(local_rank: int) -> int | None:
    """CUDA's number of the device that a rank uses, by its place on the host; None where the rank sees no device.

    Ranks take devices in turn. Where the launcher shows each rank a GPU of its own by CUDA_VISIBLE_DEVICES, that is
    device 0 of every rank.
    """
    found = collect_facts()
    count = 0 if found is None else len(_devices(found))
    return local_rank % count if count else None


def _devices(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """By the driver; where only NVML answers (libcuda is missing), by NVML and the variable."""
    if found["visible"] or not found["gpus"]:
        return list(found["visible"])
    by_index = {gpu["index"]: gpu for gpu in found["gpus"]}
    gpus = [HostGpu(gpu["index"], gpu["uuid"], tuple(gpu["slices"]), gpu["mig"]) for gpu in found["gpus"]]
    visible = visible_devices(os.environ.get("CUDA_VISIBLE_DEVICES"), gpus)
    return [{**by_index[device.gpu], "uuid": device.uuid} for device in visible]


def _host_index(uuid: str, found: Mapping[str, Any]) -> int | None:
    return next((gpu["index"] for gpu in found["gpus"] if uuid == gpu["uuid"] or uuid in gpu["slices"]), None)
