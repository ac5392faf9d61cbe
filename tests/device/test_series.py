from __future__ import annotations

import pytest

from tokenclock.device.series import MAX_POINTS, DeviceSeries
from tokenclock.device.window import DeviceSample


def test_fast_looks_are_passed_over_and_what_is_not_told_is_left_out() -> None:
    series = DeviceSeries()
    assert series.figures() is None
    series.add(DeviceSample(5, used_bytes=1))  # a look at the memory alone
    series.add(DeviceSample(10, used_bytes=100, power_w=300.0, utilization_percent=99.0))
    series.add(DeviceSample(20, used_bytes=200, power_w=None, utilization_percent=50.0))
    assert series.figures() == {
        "t_monotonic_ns": [10, 20],
        "utilization_percent": [99.0, 50.0],
        "power_w": [300.0, None],
        "used_bytes": [100.0, 200.0],
    }


@pytest.mark.parametrize("n", [MAX_POINTS, MAX_POINTS + 1, 10 * MAX_POINTS + 3])
def test_a_long_run_is_thinned_to_means(n: int) -> None:
    series = DeviceSeries()
    for i in range(n):
        series.add(DeviceSample(i * 100, power_w=float(i)))
    found = series.figures()
    assert found is not None
    assert MAX_POINTS / 2 - 1 <= len(found["power_w"]) <= MAX_POINTS
    assert found["t_monotonic_ns"] == sorted(found["t_monotonic_ns"])
    # a mean of values that rise with time is the value of the mean time
    assert [t / 100 for t in found["t_monotonic_ns"]] == pytest.approx(found["power_w"], abs=0.02)
