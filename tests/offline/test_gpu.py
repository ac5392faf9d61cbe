from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tokenclock import UserRuntime
from tokenclock.offline import gpu
from tokenclock.offline.gpu import GpuWatch, gpu_of, peak_bytes
from tokenclock.runtime.protocol import ModelFacts


def test_the_fullest_ranks_peak_counts_and_unknown_is_unknown() -> None:
    assert peak_bytes([{"peak_device_bytes": 5}, {"peak_device_bytes": 9}, {"peak_device_bytes": None}]) == 9
    assert peak_bytes([{"peak_device_bytes": None}]) is None
    assert peak_bytes([]) is None


def test_a_runtime_on_a_cpu_has_no_gpu() -> None:
    on_cpu = ModelFacts(name="m", family="dec", details={"device": "cpu"})
    assert gpu_of(UserRuntime(lambda i, s: None, model=on_cpu, cuda_stream=5), 0) is None
    assert gpu_of(UserRuntime(lambda i, s: None), 0) is None  # says nothing, and names no stream


def test_sampling_can_be_switched_off() -> None:
    with GpuWatch(0) as watch:
        watch.begin("a")
        assert (watch.end(), watch.stop(), watch.unavailable) == (None, None, "switched off")


class Monitor:
    """The sampler's face, which notes what it is told."""

    unavailable = None
    told: list[Any] = []  # noqa: RUF012

    def __init__(self, interval_ms: float, devices: Any) -> None:
        self.told.append((interval_ms, devices))

    def start(self) -> None:
        self.told.append("start")

    def mark_loaded(self) -> None:
        self.told.append("loaded")

    def begin(self, label: str) -> None:
        self.told.append(label)

    def end(self) -> Any:
        return SimpleNamespace(to_dict=lambda: {"peak_device_bytes": 7})

    def stop(self) -> Any:
        self.told.append("stop")
        return SimpleNamespace(to_dict=lambda: {"unavailable": None})


@pytest.fixture
def sampler(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(gpu, "GpuMemoryMonitor", Monitor)
    monkeypatch.setattr(gpu, "visible_index", lambda local_rank: local_rank % 2)
    monkeypatch.setattr(Monitor, "told", [])
    return Monitor.told


def test_a_rank_watches_its_own_gpu(sampler: list[Any]) -> None:
    with GpuWatch(20, local_rank=3) as watch:
        watch.mark_loaded()
        watch.begin("a case")
        assert watch.end() == {"peak_device_bytes": 7}
        assert watch.stop() == {"unavailable": None}
    assert Monitor.told == [(20, [1]), "start", "loaded", "a case", "stop"]


def test_without_a_rank_all_gpus_are_watched_and_the_sampler_ends_with_the_block(sampler: list[Any]) -> None:
    with pytest.raises(RuntimeError), GpuWatch(10):
        raise RuntimeError
    assert Monitor.told == [(10, None), "start", "stop"]
