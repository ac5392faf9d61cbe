"""Facts of this machine's GPUs for the environment of a result; at once None where there is no driver."""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

from tokenclock.device.child import Child, ChildSilent

__all__ = ["collect_facts", "has_driver"]

_LIMIT_S = 60.0  # a driver that is not kept loaded takes seconds for each GPU
_LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")


def has_driver() -> bool:
    """Whether a library of NVIDIA's driver can be loaded here. Loads it and starts nothing."""
    if os.environ.get("TOKENCLOCK_LIBCUDA"):
        return True
    return any(map(_can_be_loaded, _LIBRARIES))


def _can_be_loaded(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def collect_facts() -> dict[str, Any] | None:
    """What the driver and NVML say of the GPUs now, JSON-ready; None without a driver.

    Returns:
        ``driver_version``, ``cuda_version`` (what the driver can run); ``visible``: the GPUs that this process sees, in
        CUDA's order, each with ``name``, ``compute_cap``, ``uuid``, ``pci_bus_id``; ``gpus``: all of the host by NVML,
        with clocks, power limit, throttle reasons, persistence mode, as far as told; ``problems``: what could not be
        asked, and why.
    """
    if not has_driver():
        return None
    return _ask(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"))


@functools.lru_cache(maxsize=8)
def _ask(*_: str | None) -> dict[str, Any]:
    """Asked once for each setting of the variables: the process that answers takes a while to start."""
    try:
        child = Child("tokenclock.device.facts_process")
    except OSError as error:
        return _nothing(f"the process that asks could not be started: {error}")
    try:
        found = child.answer(_LIMIT_S)
    except ChildSilent as error:
        return _nothing(f"the process that asks gave nothing: {error}")
    finally:
        child.end()
    cuda, nvml = found["cuda"], found["nvml"]
    return {
        "driver_version": nvml["driver_version"] or found["kernel_driver_version"],
        "cuda_version": cuda["cuda_version"] or nvml["cuda_version"],
        "visible": cuda["devices"],
        "gpus": nvml["gpus"],
        "problems": [text for text in (cuda["problem"], nvml["problem"]) if text],
    }


def _nothing(problem: str) -> dict[str, Any]:
    return {"driver_version": None, "cuda_version": None, "visible": [], "gpus": [], "problems": [problem]}
