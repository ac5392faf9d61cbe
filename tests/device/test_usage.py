from __future__ import annotations

import json

from tokenclock.device.usage import DeviceUsage, GpuTelemetry, GpuUsage


def device(index: int, **values: object) -> DeviceUsage:
    facts = {"index": index, "uuid": f"GPU-{index}", "name": "G", "memory_bytes": 100, "n_samples": 5}
    return DeviceUsage.from_dict({**facts, **values})


def spread(least: float, mean: float, most: float) -> dict[str, float]:
    return {"min": least, "mean": mean, "max": most}


FULL = {
    "peak_process_bytes": 30, "peak_device_bytes": 50, "weights_bytes": 20, "power_w": spread(90, 100, 120),
    "energy_j": 7.0, "clocks": {"sm_mhz": spread(1000, 1500, 1700), "memory_mhz": None},
    "temperature_c": spread(40, 50, 60), "throttle_reasons": {"sw_power_cap": 0.25},
}  # fmt: skip


def test_memory_is_the_fullest_gpu_s_and_energy_everybody_s() -> None:
    other = {
        **FULL, "peak_process_bytes": 10, "peak_device_bytes": 70, "power_w": spread(10, 40, 50), "energy_j": 3.0,
        "clocks": {"sm_mhz": spread(900, 1000, 1800), "memory_mhz": None}, "temperature_c": spread(35, 40, 70),
        "throttle_reasons": {"sw_power_cap": 0.5, "gpu_idle": 0.1},
    }  # fmt: skip
    usage = GpuUsage.over([device(0, **FULL), device(1, **other)], label="b8", duration_s=2.0, host_peak_rss_bytes=9)
    assert (usage.peak_process_bytes, usage.peak_device_bytes, usage.weights_bytes) == (30, 70, 20)
    assert (usage.mean_power_w, usage.energy_j) == (140.0, 10.0)
    assert usage.clocks == {"sm_mhz": spread(900, 1250, 1800), "memory_mhz": None}
    assert usage.temperature == spread(35, 45, 70)
    assert usage.throttle_reasons == {"sw_power_cap": 0.5, "gpu_idle": 0.1}
    assert (usage.label, usage.duration_s, usage.host_peak_rss_bytes) == ("b8", 2.0, 9)


def test_a_lost_gpu_leaves_the_largest_unknown() -> None:
    usage = GpuUsage.over([device(0, **FULL), device(1, lost=True)])
    assert usage.peak_process_bytes is None
    assert usage.peak_device_bytes is None
    assert usage.energy_j is None
    assert usage.mean_power_w is None
    assert usage.temperature is None
    assert usage.per_device[0].peak_process_bytes == 30  # what was measured of the other one stays


def test_a_gpu_that_this_process_does_not_use_does_not_hide_the_other_s() -> None:
    usage = GpuUsage.over([device(0, **FULL), device(1, **{**FULL, "peak_process_bytes": None})])
    assert usage.peak_process_bytes == 30


def test_no_gpu_is_nothing_known() -> None:
    usage = GpuUsage.over([], host_peak_rss_bytes=4, warnings=["w"])
    assert usage.throttle_reasons is None
    assert usage.to_dict() == {**GpuUsage().to_dict(), "host_peak_rss_bytes": 4, "warnings": ["w"]}


def test_no_reason_is_not_the_same_as_none_told() -> None:
    assert GpuUsage.over([device(0, throttle_reasons={})]).throttle_reasons == {}
    assert GpuUsage.over([device(0)]).throttle_reasons is None


def test_it_is_json_with_text_keys() -> None:
    usage = GpuUsage.over([device(0, process_peaks={"12": 5}, process_names={"12": "python"})])
    assert usage.per_device[0].process_peaks == {12: 5}
    telemetry = GpuTelemetry(usage).to_dict()
    assert json.loads(json.dumps(telemetry, allow_nan=False)) == telemetry
    assert telemetry["usage"]["per_device"][0]["process_peaks"] == {"12": 5}
