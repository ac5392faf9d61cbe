"""Facts of this machine that conditions of test lists ask for."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

from tokenclock.device.facts import collect_facts

__all__ = ["facts_of", "machine_facts"]

_MIB = 1 << 20


def machine_facts() -> dict[str, Any]:
    """Facts of this machine now; those of GPUs say so where there is none.

    Returns:
        ``gpu`` (name; empty without one), ``system_gpu_count``, ``gpu_memory`` (MiB of the smallest visible one; absent
        where it is not told), ``compute_capability``, ``supports_fp8``, ``supports_fp4``, ``cpu`` (architecture),
        ``cpu_count``, ``os``, ``hostname``.
    """
    return facts_of(collect_facts())


def facts_of(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """The same from what `device.facts.collect_facts` said; None: no driver."""
    facts: dict[str, Any] = {
        "gpu": "",
        "system_gpu_count": 0,
        "supports_fp8": False,
        "supports_fp4": False,
        "cpu": platform.machine(),
        "cpu_count": os.cpu_count(),
        "os": platform.system().lower(),
        "hostname": platform.node(),
    }
    devices = list(found["visible"] or found["gpus"]) if found is not None else []
    if found is None or not devices:
        return facts
    facts["gpu"] = str(devices[0].get("name") or "")
    facts["system_gpu_count"] = len(devices)
    capabilities = [_capability(device) for device in devices]
    lowest = min((one for one in capabilities if one is not None), default=None)
    if lowest is not None:
        facts["compute_capability"] = lowest[0] + lowest[1] / 10
        facts["supports_fp8"] = lowest >= (8, 9)
        facts["supports_fp4"] = lowest >= (10, 0)
    memory = [size for device in devices if (size := _memory_bytes(device, found["gpus"])) is not None]
    if memory:
        facts["gpu_memory"] = min(memory) // _MIB
    return facts


def _capability(device: Mapping[str, Any]) -> tuple[int, int] | None:
    """Major and minor of such as ``sm90`` or ``sm100``."""
    digits = str(device.get("compute_cap") or "").removeprefix("sm")
    return (int(digits[:-1]), int(digits[-1])) if len(digits) >= 2 and digits.isascii() and digits.isdigit() else None


def _memory_bytes(device: Mapping[str, Any], gpus: list[Mapping[str, Any]]) -> int | None:
    same = [gpu for gpu in gpus if gpu.get("uuid") is not None and gpu.get("uuid") == device.get("uuid")]
    return next((int(one["memory_bytes"]) for one in (device, *same) if one.get("memory_bytes") is not None), None)
