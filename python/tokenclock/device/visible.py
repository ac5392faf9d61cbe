"""Which GPUs of a host a CUDA process sees, by the rules of CUDA_VISIBLE_DEVICES; knows no library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HostGpu", "VisibleDevice", "visible_devices"]


@dataclass(frozen=True)
class HostGpu:
    """A GPU of the host as NVML numbers it.

    Args:
        index: NVML's number, in the order of PCI addresses.
        uuid: ``GPU-...``
        slices: UUIDs of its MIG slices, ``MIG-...``; empty where MIG is off.
        is_mig: MIG is on: without a slice nothing can run on it.
    """

    index: int
    uuid: str
    slices: tuple[str, ...] = ()
    is_mig: bool = False


@dataclass(frozen=True)
class VisibleDevice:
    """What one CUDA device number stands for: a GPU, or a slice of it."""

    gpu: int  # NVML's number
    uuid: str  # of the slice where there is one


def visible_devices(text: str | None, gpus: Sequence[HostGpu]) -> list[VisibleDevice]:
    """The CUDA devices 0, 1, ... of a process whose CUDA_VISIBLE_DEVICES is `text` (None: not set).

    As the driver does: an empty text hides all; the list ends before the first entry that names no GPU; a GPU named
    twice hides all; of the first entry's kind (numbers, ``GPU-`` or ``MIG-`` UUIDs, which may be cut short) all must
    be. A process sees one MIG slice at most. Numbers are taken in the order of PCI addresses, which is CUDA's order
    with CUDA_DEVICE_ORDER=PCI_BUS_ID, or where all GPUs are of one model.
    """
    if text is None:
        found = [device for gpu in gpus if (device := _whole(gpu)) is not None]
    else:
        found = _named(text.strip(), gpus)
    if found and found[0].uuid.startswith("MIG-"):
        return found[:1]
    return [device for device in found if not device.uuid.startswith("MIG-")]


def _whole(gpu: HostGpu) -> VisibleDevice | None:
    if not gpu.is_mig:
        return VisibleDevice(gpu.index, gpu.uuid)
    return VisibleDevice(gpu.index, gpu.slices[0]) if gpu.slices else None


def _named(text: str, gpus: Sequence[HostGpu]) -> list[VisibleDevice]:
    kind = text[:4] if text.startswith(("GPU-", "MIG-")) else ""
    found: list[VisibleDevice] = []
    for entry in text.split(","):
        entry = entry.strip()
        if kind and not entry.startswith(kind):
            break
        device = _by_uuid(entry, gpus) if kind else _by_number(entry, gpus)
        if device is None:
            break
        if device in found:
            return []
        found.append(device)
    return found


def _by_number(entry: str, gpus: Sequence[HostGpu]) -> VisibleDevice | None:
    number = re.match(r"\d+", entry)  # what follows the digits is ignored, as strtol does
    gpu = None if number is None else next((gpu for gpu in gpus if gpu.index == int(number[0])), None)
    return None if gpu is None else _whole(gpu)


def _by_uuid(entry: str, gpus: Sequence[HostGpu]) -> VisibleDevice | None:
    if entry.startswith("GPU-"):
        matches = [_whole(gpu) for gpu in gpus if gpu.uuid.startswith(entry)]
    else:
        matches = [VisibleDevice(gpu.index, uuid) for gpu in gpus for uuid in gpu.slices if uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None  # none, or more than one: it names no device
