"""The block of --gpu-telemetry: words, order, decimals, and n/a for what is not known."""

from __future__ import annotations

from typing import Any

import jsonschema

from tokenclock.device.usage import DeviceUsage, GpuTelemetry, GpuUsage
from tokenclock.report import gpu_section
from tokenclock.result import Result

GIB = 1 << 30


def spread(least: float, mean: float, most: float) -> dict[str, float]:
    return {"min": least, "mean": mean, "max": most}


FULL = DeviceUsage(
    index=0, uuid="GPU-0", name="NVIDIA H100 80GB HBM3", memory_bytes=80 * GIB, n_samples=900,
    peak_device_bytes=45 * GIB + GIB // 4, peak_process_bytes=44 * GIB, process_peaks={7: 44 * GIB},
    process_names={7: "python"}, power_w=spread(80, 512.34, 690), energy_j=30712.42, energy_source="counter",
    clocks={"sm_mhz": spread(1410, 1704.6, 1980), "memory_mhz": None}, temperature_c=spread(40, 60.4, 67),
    throttle_reasons={"gpu_idle": 0.05, "sw_power_cap": 0.125},
)  # fmt: skip
BARE = DeviceUsage(index=1, uuid="GPU-1", name=None, memory_bytes=None, n_samples=900)


def gpu(*devices: DeviceUsage, here: bool = True, unavailable: str | None = None, warnings: Any = ()) -> dict[str, Any]:
    usage = GpuUsage.over(devices, label="load", duration_s=60.0, warnings=warnings)
    telemetry = GpuTelemetry(
        usage, unavailable, "550.54.15", "12.4", interval_ms=10.0, achieved_interval_ms=10.04, longest_gap_ms=23.51,
        n_samples=900, sampler_cpu_share=0.03,
    )  # fmt: skip
    return {"host": "h", "server_is_on_this_host": here, **telemetry.to_dict()}


def lines(found: dict[str, Any]) -> list[str]:
    text = gpu_section.render(found)
    assert text.endswith("\n")
    return [line.rstrip() for line in text.splitlines()]


def test_one_gpu() -> None:
    assert lines(gpu(FULL)) == [
        "=============== GPUs of this host ================",
        "GPU 0: NVIDIA H100 80GB HBM3",
        "Peak memory, device (GiB):               45.25",
        "Peak memory, processes (GiB):            44.00",
        "Power mean, max (W):                 512.3 / 690.0",
        "Energy during the load (J):              30712.4",
        "SM clock min, mean, max (MHz):  1410 / 1705 / 1980",
        "Temperature mean, max (C):               60 / 67",
        "Clocks held down by sw_power_cap:        12.50 %",
        "Looked at every, at worst (ms):        10.0 / 23.5",
        "==================================================",
    ]


def test_what_is_not_told_is_not_0() -> None:
    found = lines(gpu(BARE))
    assert found[1:9] == [
        "GPU 1: GPU-1",
        "Peak memory, device (GiB):               n/a",
        "Peak memory, processes (GiB):            n/a",
        "Power mean, max (W):                     n/a",
        "Energy during the load (J):              n/a",
        "SM clock min, mean, max (MHz):           n/a",
        "Temperature mean, max (C):               n/a",
        "Clocks held down by:                     n/a",
    ]


def test_several_are_summed_where_all_tell() -> None:
    two = lines(gpu(FULL, FULL))
    at = two.index("------------------ All together ------------------")
    assert two[at + 1 : at + 3] == [
        "Mean power (W):                          1024.7",
        "Energy during the load (J):              61424.8",
    ]
    mixed = lines(gpu(FULL, BARE))
    at = mixed.index("------------------ All together ------------------")
    assert mixed[at + 1] == "Mean power (W):                          n/a"


def test_idle_is_no_reason_and_nothing_is_said_so() -> None:
    idle = DeviceUsage(index=0, uuid="G", name="n", memory_bytes=1, n_samples=1, throttle_reasons={"gpu_idle": 1.0})
    assert "Clocks held down by:                     nothing" in lines(gpu(idle))


def test_a_lost_gpu_a_remote_server_and_warnings() -> None:
    lost = DeviceUsage(index=3, uuid="G", name="n", memory_bytes=1, n_samples=1, lost=True)
    found = lines(gpu(lost, here=False, warnings=["GPU 3 fell off the bus, and this is a long line about it"]))
    assert found[1:3] == ["The server is on another host: these are not its", "GPUs."]
    assert "Fell off the bus:                        n/a" in found
    assert found[-3:] == ["  GPU 3 fell off the bus, and this is a long line", "    about it", "=" * 50]


def test_no_nvml() -> None:
    found = lines(gpu(unavailable="no NVML on this machine"))
    assert found == ["=============== GPUs of this host ================", "n/a: no NVML on this machine", "=" * 50]


def test_it_is_in_the_result_and_in_its_schema(make_result: Any) -> None:
    from tests.test_result import SCHEMA

    from tokenclock.metrics.facts import RunFacts

    result: Result = make_result([{"sent": 0, "tokens": [1, 2]}], RunFacts(), gpu=gpu(FULL, BARE))
    jsonschema.validate(result.to_dict(), SCHEMA)
    assert Result.from_dict(result.to_dict()).to_dict()["gpu"] == gpu(FULL, BARE)
    assert result.gpu is not None
    assert gpu_section.render(result.gpu) == gpu_section.render(gpu(FULL, BARE))


def test_the_table_has_a_row_for_each_gpu() -> None:
    head, rows = gpu_section.table_of(gpu(FULL, BARE))
    assert len(head) == len(rows[0]) == len(rows[1]) == 7
    assert rows[0][:4] == ["0: NVIDIA H100 80GB HBM3", "45.25", "512.3 / 690.0", "30712.4"]
    assert rows[0][4:] == ["1410 / 1705 / 1980", "60 / 67", "sw_power_cap 12.50 %"]
    assert rows[1] == ["1: GPU-1", *["n/a"] * 6]
