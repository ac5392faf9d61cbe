from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests import stand_ins

from tokenclock.plan import EndpointPlan, ServerPlan, ServingPlan, TransportPlan
from tokenclock.serving.gpu_watch import GpuWatch, is_this_host

HERE = [("127.0.0.1", 8000)]
ELSEWHERE = [("192.0.2.1", 8000)]  # an address that is nobody's


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> stand_ins.FakeGpus:
    state = stand_ins.FakeGpus(tmp_path / "gpus.txt")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stand_ins.directory()))
    monkeypatch.setenv("FAKE_NVML_STATE", str(state.path))
    return state


def plan(*, asked: bool = True, unix_socket: str | None = None) -> ServingPlan:
    return ServingPlan(
        endpoint=EndpointPlan(model="m"),
        server=ServerPlan(gpu_telemetry=asked),
        transport=TransportPlan(unix_socket=unix_socket),
    )


def test_the_load_alone_counts(gpus: stand_ins.FakeGpus) -> None:
    gpus.set("gpus 2", "used 0 900", "process 1 1 5")
    said: list[str] = []
    watch = GpuWatch(plan(), HERE, said.append)
    watch.start()
    gpus.set("gpus 2", "used 0 100", "process 1 1 5", "energy 0 1000000")
    watch.begin()
    gpus.set("gpus 2", "used 0 300", "process 1 1 7", "energy 0 1025000")
    watch.end()
    gpus.set("gpus 2", "used 0 5000", "process 1 1 9")
    assert watch.found is None
    watch.stop()
    watch.stop()
    found = watch.found
    assert found is not None
    assert found["host"]
    assert found["server_is_on_this_host"] is True
    assert found["unavailable"] is None
    usage = found["usage"]
    assert usage["label"] == "load"
    assert [device["peak_device_bytes"] for device in usage["per_device"]] == [300, 1 << 30]
    assert usage["per_device"][1]["process_peaks"] == {"1": 7}  # everybody's
    assert usage["energy_j"] == 25.0
    assert [(one["index"], one["power_w"][0], one["utilization_percent"][0]) for one in found["series"]] == [
        (0, 250.0, 50.0),
        (1, 250.0, 50.0),
    ]
    assert said == []


def test_a_server_elsewhere_is_told(gpus: stand_ins.FakeGpus) -> None:
    said: list[str] = []
    watch = GpuWatch(plan(), ELSEWHERE, said.append)
    watch.start()
    watch.stop()
    assert len(said) == 1
    assert "--gpu-telemetry watches the GPUs of this host, and the server is another one" in said[0]
    assert watch.found is not None
    assert watch.found["server_is_on_this_host"] is False
    assert watch.found["usage"]["per_device"] == []  # the load never came to its end


def test_no_nvml_is_one_line_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    said: list[str] = []
    watch = GpuWatch(plan(), HERE, said.append)
    watch.start()
    watch.begin()
    watch.end()
    watch.stop()
    assert len(said) == 1
    assert said[0].startswith("tokenclock serving: no GPU telemetry: no NVML (libnvidia-ml.so.1) on this machine: ")
    assert watch.found is not None
    assert watch.found["unavailable"] is not None
    assert watch.found["usage"]["energy_j"] is None


def test_nothing_happens_unless_asked_for() -> None:
    watch = GpuWatch(plan(asked=False), ELSEWHERE, pytest.fail)
    watch.start()
    watch.begin()
    watch.end()
    watch.stop()
    assert watch.found is None


def test_a_unix_socket_is_of_this_host(gpus: stand_ins.FakeGpus) -> None:
    watch = GpuWatch(plan(unix_socket="/s"), [("/s", 0)], pytest.fail)
    watch.start()
    watch.stop()
    assert watch.found is not None
    assert watch.found["server_is_on_this_host"] is True


def test_own_addresses() -> None:
    assert is_this_host("127.0.0.1")
    assert is_this_host("127.8.8.8")
    assert not is_this_host("192.0.2.1")
    assert not is_this_host("2001:db8::1")
    if socket.has_ipv6 and Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text():
        assert is_this_host("::1")
