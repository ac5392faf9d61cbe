from __future__ import annotations

import pytest
from tests.stand_ins import FakeGpus, run_python

from tokenclock.device.cuda import DeviceFacts, device_facts, visible_index

UUID = "GPU-00000000-0000-0000-0000-00000000000"


@pytest.fixture
def four(gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    monkeypatch.setenv("FAKE_CUDA_DEVICES", "4")
    gpus.set("gpus 4")
    return gpus


def test_the_device_that_is_used_not_the_first_of_the_host(four: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    assert device_facts(0) == DeviceFacts(
        index=0,
        name="Stand-in GPU 2",
        compute_cap="sm90",
        count=2,
        driver_version="550.54.15",
        cuda_version="12.8",
        uuid=UUID + "2",
        host_index=2,
    )
    second = device_facts(1)
    assert second is not None
    assert (second.index, second.host_index, second.uuid) == (1, 1, UUID + "1")
    assert device_facts(2) is None
    assert device_facts(-1) is None


@pytest.mark.parametrize(
    ("visible", "local_rank", "expected"),
    [
        (None, 0, 0),
        (None, 3, 3),
        (None, 5, 1),  # more ranks than GPUs: in turn
        ("3", 2, 0),  # the launcher showed this rank its own
        ("3,1", 1, 1),
        ("", 0, None),
        ("-1", 0, None),
    ],
)
def test_ranks_take_visible_devices_in_turn(
    four: FakeGpus, monkeypatch: pytest.MonkeyPatch, visible: str | None, local_rank: int, expected: int | None
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_index(local_rank) == expected


def test_without_nvml_the_driver_alone_tells(four: FakeGpus) -> None:
    four.set("fail nvmlInitWithFlags 9")
    found = device_facts(3)
    assert found is not None
    assert (found.name, found.cuda_version, found.host_index) == ("Stand-in GPU 3", "12.8", None)


def test_without_libcuda_nvml_alone_tells(four: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENCLOCK_LIBCUDA", "/nowhere")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", UUID + "3,GPU-nonsense")
    found = device_facts(0)
    assert found is not None
    assert (found.name, found.compute_cap, found.count, found.host_index) == ("Stand-in GPU", "sm90", 1, 3)
    assert (found.cuda_version, found.driver_version) == ("12.4", "550.54.15")


def test_no_gpu_is_none(no_gpu: None) -> None:
    assert device_facts(0) is None
    assert visible_index(0) is None


def test_asking_starts_no_driver_in_this_process() -> None:
    code = """
        import ctypes, os
        os.environ["CUDA_VISIBLE_DEVICES"] = "1"
        from tokenclock.device.cuda import device_facts
        print(device_facts(0).name, device_facts(1))
        os.environ["CUDA_VISIBLE_DEVICES"] = "0,2"  # a driver that had started would not see the change
        print(device_facts(0).name, device_facts(1).name)
        count = ctypes.c_int()
        print(ctypes.CDLL("libcuda.so.1").cuDeviceGetCount(ctypes.byref(count)))  # 3: not initialized
    """
    done = run_python(code, {"FAKE_CUDA_DEVICES": "3"})
    assert done.stdout.splitlines() == ["Stand-in GPU 1 None", "Stand-in GPU 0 Stand-in GPU 2", "3"], done.stderr
