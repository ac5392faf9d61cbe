"""The process that asks the driver and NVML what GPUs there are: one line of JSON. The asking process stays untouched.

The driver reads CUDA_VISIBLE_DEVICES once for the life of a process, and a process that started it can no longer fork
others that use the GPU: so neither is done where something is measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenclock.device.nvml import Nvml, NvmlUnavailable, cuda_version_text

__all__ = ["main"]


def _by_driver() -> dict[str, Any]:
    """What CUDA sees: ``devices`` in CUDA's order, or why there are none."""
    from tokenclock._core import CudaError, cuda_devices, cuda_driver_version

    try:
        version = cuda_version_text(cuda_driver_version())
        return {"problem": None, "cuda_version": version, "devices": cuda_devices()}
    except CudaError as error:
        return {"problem": str(error), "cuda_version": None, "devices": []}


def _by_nvml() -> dict[str, Any]:
    """What NVML sees: ``gpus`` of the host in the order of PCI addresses, or why there are none."""
    try:
        nvml = Nvml()
    except NvmlUnavailable as error:
        return {"problem": str(error), "driver_version": None, "cuda_version": None, "gpus": []}
    return {
        "problem": "; ".join(nvml.problems) or None,
        "driver_version": nvml.driver_version,
        "cuda_version": nvml.cuda_version,
        "gpus": [{**gpu.facts(), "slices": [part.uuid for part in gpu.slices]} for gpu in nvml.gpus],
    }


def _kernel_driver_version() -> str | None:
    """Version of the kernel's driver, where NVML is not there to tell: ``... Kernel Module  550.54.15  ...``"""
    try:
        words = Path("/proc/driver/nvidia/version").read_text(errors="replace").split()
    except OSError:
        return None
    return next((word for word in words if word[0].isdigit() and word.count(".") in (1, 2)), None)


def main() -> None:
    """Print the facts."""
    found = {"cuda": _by_driver(), "nvml": _by_nvml(), "kernel_driver_version": _kernel_driver_version()}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
