"""The device that PyTorch works on, and the few calls that differ between a GPU and a CPU."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from tokenclock.errors import MeasurementError, UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["TorchDevice", "pick_device"]


class TorchDevice:
    """One device, as `pick_device` gives it.

    Args:
        device: as PyTorch names it: ``cpu``, ``cuda:1``.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.is_cuda = device.type == "cuda"

    @property
    def stream(self) -> int | None:
        """Handle of the stream that PyTorch enqueues on now; None on a CPU."""
        if not self.is_cuda:
            return None
        import torch

        return int(torch.cuda.current_stream(self.device).cuda_stream)

    def wait(self) -> None:
        """Return when all that was enqueued on the current stream is done; at once on a CPU."""
        if self.is_cuda:
            import torch

            torch.cuda.current_stream(self.device).synchronize()

    def free_unused(self) -> None:
        """Give memory that no tensor uses any more back to the device; nothing to do on a CPU."""
        if self.is_cuda:
            import torch

            gc.collect()
            torch.cuda.empty_cache()


def pick_device(wanted: str, local_rank: int, *, runtime: str) -> TorchDevice:
    """The device of this rank: the GPU of its place on the host, else the CPU.

    Args:
        wanted: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        local_rank: place among the ranks of this host, from 0; never the global rank.
        runtime: for messages.

    Raises:
        UsageError: a GPU is asked for and there is none, or fewer than ranks on this host.
        MeasurementError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MeasurementError(
            f"--runtime {runtime} needs PyTorch: pip install 'tokenclock[torch]', or name another --runtime"
        ) from None
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and n_gpus == 0):
        return TorchDevice(torch.device("cpu"))
    if n_gpus == 0:
        raise UsageError("--device cuda needs a GPU that PyTorch can use, found none; leave --device out for the CPU")
    if local_rank >= n_gpus:
        raise UsageError(
            f"each rank needs a GPU of its own: local rank {local_rank} found {n_gpus}; start fewer ranks on this host"
        )
    torch.cuda.set_device(local_rank)
    return TorchDevice(torch.device("cuda", local_rank))
