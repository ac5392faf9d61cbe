"""Where a session ran, by the names of the flow's `session_properties.csv`; what is unknown is empty."""

from __future__ import annotations

import getpass
import json
import platform
import socket
from datetime import datetime
from importlib import metadata
from typing import Any

from tokenclock import environment
from tokenclock.device.facts import collect_facts

__all__ = ["COLUMNS", "collect_properties"]

COLUMNS = (
    "username",
    "start_timestamp",
    "hostname",
    "ip",
    "nvidia_driver_version",
    "nvidia_device_count",
    "os_properties",
    "cpu_properties",
    "gpu_properties",
    "trt_change_id",
    "trt_branch",
    "commit_timestamp",
    "cuda_version",
    "cublas_version",
    "cudnn_version",
    "end_timestamp",
)
"""Of session_properties.csv, in order."""


def collect_properties(started: datetime) -> dict[str, Any]:
    """Facts of this machine by `COLUMNS`; ``end_timestamp`` is None yet. Collected, never guessed.

    Args:
        started: UTC.
    """
    facts = environment.collect()
    gpu = collect_facts() or {}
    known: dict[str, Any] = {
        "username": _username(),
        "start_timestamp": f"{started:%Y-%m-%d %H:%M:%S}",
        "hostname": platform.node(),
        "ip": _address(),
        "nvidia_driver_version": gpu.get("driver_version"),
        "nvidia_device_count": len(gpu.get("gpus") or gpu.get("visible") or ()),
        "os_properties": _text({name: facts[name] for name in ("os", "kernel", "machine", "memory_bytes")}),
        "cpu_properties": _text(
            {name: facts[name] for name in ("cpu_model", "cpus_online", "cpus_allowed", "cpu_governor")}
        ),
        "gpu_properties": _text(gpu["gpus"]) if gpu.get("gpus") else None,
        "cuda_version": gpu.get("cuda_version"),
        "cublas_version": _version("nvidia-cublas-cu12", "nvidia-cublas-cu13", "nvidia-cublas"),
        "cudnn_version": _version("nvidia-cudnn-cu12", "nvidia-cudnn-cu13", "nvidia-cudnn"),
    }
    return {name: known.get(name) for name in COLUMNS}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _username() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return None


def _address() -> str | None:
    """This host's address towards others; nothing is sent for it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _version(*distributions: str) -> str | None:
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
