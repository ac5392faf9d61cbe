from __future__ import annotations

import pytest

from tokenclock.device.visible import HostGpu, VisibleDevice, visible_devices

FOUR = [HostGpu(k, f"GPU-{letter}{k}-0000") for k, letter in enumerate("aabc")]
SLICED = [
    HostGpu(0, "GPU-a0", ("MIG-x0", "MIG-x1"), is_mig=True),
    HostGpu(1, "GPU-b1"),
    HostGpu(2, "GPU-c2", (), is_mig=True),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        ("  ", []),
        ("2", [2]),
        ("3,1", [3, 1]),
        (" 3 , 1 ", [3, 1]),
        ("1,-1,2", [1]),
        ("-1", []),
        ("NoDevFiles", []),
        ("1,7,2", [1]),
        ("0,0", []),
        ("1x,2", [1, 2]),
        ("GPU-b2-0000", [2]),
        ("GPU-c,GPU-b", [3, 2]),
        ("GPU-a", []),  # two GPUs begin so
        ("GPU-a1,GPU-zz,GPU-c", [1]),
        ("GPU-a1,3", [1]),
        ("3,GPU-a1", [3]),
        ("GPU-c,GPU-c3", []),
    ],
)
def test_numbers_and_uuids(text: str | None, expected: list[int]) -> None:
    assert [device.gpu for device in visible_devices(text, FOUR)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIG-x1", [VisibleDevice(0, "MIG-x1")]),
        ("MIG-x1,MIG-x0", [VisibleDevice(0, "MIG-x1")]),
        ("MIG-y", []),
        ("0", [VisibleDevice(0, "MIG-x0")]),
        ("1", [VisibleDevice(1, "GPU-b1")]),
        ("1,0", [VisibleDevice(1, "GPU-b1")]),
        ("2", []),  # on, but not cut into slices: nothing runs there
        ("GPU-a0", [VisibleDevice(0, "MIG-x0")]),
        (None, [VisibleDevice(0, "MIG-x0")]),
    ],
)
def test_a_process_sees_one_slice_or_whole_gpus(text: str | None, expected: list[VisibleDevice]) -> None:
    assert visible_devices(text, SLICED) == expected


def test_no_gpus() -> None:
    assert visible_devices(None, []) == []
    assert visible_devices("0", []) == []
