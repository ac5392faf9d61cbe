from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.device.window import DeviceSample, DeviceWindow, HostWindow

S = 1_000_000_000


def window_of(*samples: DeviceSample, followed: frozenset[int] | None = None) -> DeviceWindow:
    window = DeviceWindow()
    for sample in samples:
        window.add(sample, followed)
    return window


def test_peaks_of_device_and_of_the_processes_followed() -> None:
    window = window_of(
        DeviceSample(0, used_bytes=100, processes={1: 40, 2: 10, 9: 50}),
        DeviceSample(1, used_bytes=300, processes={1: 30, 2: 70, 9: 200}),
        DeviceSample(2, used_bytes=200, processes={1: 60, 9: 10}),
        followed=frozenset({1, 2}),
    )
    figures = window.figures()
    assert figures["peak_device_bytes"] == 300
    assert figures["peak_process_bytes"] == 100  # 30 + 70 at one look, not 60 + 70 of two
    assert figures["process_peaks"] == {1: 60, 2: 70}
    assert figures["n_samples"] == 3


def test_everybody_counts_where_nobody_is_followed() -> None:
    assert window_of(DeviceSample(0, processes={1: 40, 9: 50})).figures()["peak_process_bytes"] == 90


@pytest.mark.parametrize("processes", [None, {}, {9: 50}, {1: None}, {1: 40, 2: None}])
def test_what_is_not_told_is_missing_and_not_0(processes: dict[int, int | None] | None) -> None:
    window = window_of(DeviceSample(0, processes=processes), followed=frozenset({1, 2}))
    assert window.figures()["peak_process_bytes"] is None


def test_means_are_over_the_looks_that_have_the_quantity() -> None:
    figures = window_of(
        DeviceSample(0, power_w=100.0, sm_mhz=1000.0, temperature_c=50.0, throttle_reasons=["sw_power_cap"]),
        DeviceSample(1),
        DeviceSample(2, power_w=300.0, sm_mhz=1500.0, temperature_c=60.0, throttle_reasons=[]),
        DeviceSample(3, throttle_reasons=["sw_power_cap", "gpu_idle"]),
        DeviceSample(4, throttle_reasons=[]),
    ).figures()
    assert figures["power_w"] == {"min": 100.0, "mean": 200.0, "max": 300.0}
    assert figures["clocks"] == {"sm_mhz": {"min": 1000.0, "mean": 1250.0, "max": 1500.0}, "memory_mhz": None}
    assert figures["temperature_c"] == {"min": 50.0, "mean": 55.0, "max": 60.0}
    assert figures["throttle_reasons"] == {"gpu_idle": 0.25, "sw_power_cap": 0.5}


def test_energy_is_the_counter_s_difference() -> None:
    figures = window_of(
        DeviceSample(0, energy_j=1000.0, power_w=9.0),
        DeviceSample(S),
        DeviceSample(2 * S, energy_j=1250.5, power_w=9.0),
    ).figures()
    assert figures["energy_j"] == 250.5
    assert figures["energy_source"] == "counter"


def test_without_a_counter_energy_is_the_area_under_the_power() -> None:
    figures = window_of(
        DeviceSample(0, power_w=100.0),
        DeviceSample(S),
        DeviceSample(2 * S, power_w=300.0),
        DeviceSample(3 * S, power_w=100.0),
    ).figures()
    assert figures["energy_j"] == 2 * 200.0 + 1 * 200.0
    assert figures["energy_source"] == "power samples"


def test_nothing_told_at_all() -> None:
    figures = window_of(DeviceSample(0)).figures()
    assert {name for name, value in figures.items() if value is not None} == {
        "n_samples", "lost", "clocks", "process_peaks",
    }  # fmt: skip
    assert window_of(DeviceSample(0, power_w=5.0)).figures()["energy_j"] is None  # one look has no area


def test_a_lost_gpu_keeps_no_figure() -> None:
    window = window_of(DeviceSample(0, used_bytes=7))
    window.lost = True
    assert window.figures() == {"n_samples": 1, "lost": True}


@given(st.lists(st.dictionaries(st.integers(1, 5), st.integers(0, 2**40), min_size=1), min_size=1))
def test_peak_of_all_is_at_least_each_peak_and_at_most_their_sum(looks: list[dict[int, int]]) -> None:
    window = window_of(*(DeviceSample(k, processes=dict(look)) for k, look in enumerate(looks)))
    figures = window.figures()
    assert figures["peak_process_bytes"] == max(sum(look.values()) for look in looks)
    peaks = figures["process_peaks"].values()
    assert max(peaks) <= figures["peak_process_bytes"] <= sum(peaks)


def test_host_peak() -> None:
    host = HostWindow()
    for size in (None, 5, 9, None, 7):
        host.add(size)
    assert host.figures() == {"n_samples": 5, "host_peak_rss_bytes": 9}
    assert HostWindow().figures()["host_peak_rss_bytes"] is None
