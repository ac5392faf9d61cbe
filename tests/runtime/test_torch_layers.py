from __future__ import annotations

import time
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed (make real-models)")

from tokenclock.runtime.torch_device import TorchDevice  # noqa: E402
from tokenclock.runtime.torch_layers import LayerWatch, list_layers  # noqa: E402


class Slow(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(3))

    def forward(self, x: Any) -> Any:
        time.sleep(0.01)
        return x * self.scale


def model() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(2, 3), Slow(), torch.nn.Sequential(torch.nn.Linear(3, 1, bias=False)))


def test_what_each_layer_holds() -> None:
    first, slow, last = list_layers(model())
    assert (first.name, first.kind, first.n_parameters) == ("0", "Linear", 9)
    assert first.weights == ["weight (3, 2) float32", "bias (3,) float32"]
    assert (slow.kind, slow.n_parameters) == ("Slow", 3)
    assert (last.name, last.weights) == ("2.0", ["weight (1, 3) float32"])


def test_each_layer_is_timed_by_phase_and_no_hook_stays() -> None:
    net, watch = model(), LayerWatch(TorchDevice(torch.device("cpu")))
    with watch.watching(net):
        net(torch.ones(4, 2))
        watch.phase = "generation"
        net(torch.ones(4, 2))
        net(torch.ones(4, 2))
    net(torch.ones(4, 2))  # not watched
    times = {(layer.phase, layer.name): layer for layer in watch.times()}
    assert {key: layer.n_calls for key, layer in times.items()} == {
        ("context", "0"): 1, ("context", "1"): 1, ("context", "2.0"): 1,
        ("generation", "0"): 2, ("generation", "1"): 2, ("generation", "2.0"): 2,
    }  # fmt: skip
    assert times["context", "1"].time_ns >= 10_000_000
    assert times["generation", "1"].time_ns >= 20_000_000
    assert times["context", "1"].kind == "Slow"
    assert all(layer.time_ns > 0 for layer in watch.times())


def test_an_error_leaves_no_hook_behind() -> None:
    net, watch = model(), LayerWatch(TorchDevice(torch.device("cpu")))
    with pytest.raises(RuntimeError), watch.watching(net):
        net(torch.ones(4, 7))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
