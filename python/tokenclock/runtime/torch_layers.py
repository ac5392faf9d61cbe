"""Layers of a PyTorch model: times by hooks around each module that has none below it, and what each holds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tokenclock.layers import LayerInfo, LayerPhase, LayerTime
from tokenclock.runtime.torch_device import TorchDevice

if TYPE_CHECKING:
    import torch

__all__ = ["LayerWatch", "list_layers"]


def list_layers(model: torch.nn.Module) -> list[LayerInfo]:
    """Every module without modules below it, and others that hold weights of their own."""
    return [
        LayerInfo(
            name or "(model)",
            type(module).__name__,
            sum(parameter.numel() for parameter in module.parameters(recurse=False)),
            [
                f"{own} {tuple(parameter.shape)} {str(parameter.dtype).removeprefix('torch.')}"
                for own, parameter in module.named_parameters(recurse=False)
            ],
            text=module.extra_repr(),
        )
        for name, module in model.named_modules()
        if _is_layer(module)
    ]


def _is_layer(module: torch.nn.Module) -> bool:
    return not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))


class LayerWatch:
    """Times modules while `watching`; `phase` is set by whoever sees the steps.

    On a GPU a pair of CUDA events stands around each call, read after the iteration; on a CPU the clock is read. What a
    module does outside of modules below it (attention itself, additions) is in no layer's time.
    """

    def __init__(self, device: TorchDevice) -> None:
        self._device = device
        self.phase: LayerPhase = "context"
        self._begun: list[Any] = []
        self._calls: dict[tuple[LayerPhase, str], tuple[str, list[tuple[Any, Any]]]] = {}

    @contextlib.contextmanager
    def watching(self, model: torch.nn.Module) -> Iterator[None]:
        """With hooks on every layer of `model`; none is left behind."""
        handles: list[Any] = []
        try:
            for name, module in model.named_modules():
                if _is_layer(module):
                    handles.append(module.register_forward_pre_hook(self._begin))
                    handles.append(module.register_forward_hook(self._end(name or "(model)", type(module).__name__)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def times(self) -> list[LayerTime]:
        """In the order in which layers first ran; the device must have finished."""
        return [
            LayerTime(name, kind, phase, len(calls), sum(self._between_ns(first, last) for first, last in calls))
            for (phase, name), (kind, calls) in self._calls.items()
        ]

    def _begin(self, *_: Any) -> None:
        self._begun.append(self._now())

    def _end(self, name: str, kind: str) -> Callable[..., None]:
        def end(*_: Any) -> None:
            ended = self._now()
            self._calls.setdefault((self.phase, name), (kind, []))[1].append((self._begun.pop(), ended))

        return end

    def _now(self) -> Any:
        if not self._device.is_cuda:
            return time.perf_counter_ns()
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between_ns(self, first: Any, last: Any) -> int:
        return round(first.elapsed_time(last) * 1e6) if self._device.is_cuda else int(last - first)
