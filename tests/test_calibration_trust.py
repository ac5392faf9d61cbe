from __future__ import annotations

import pytest
from tests.test_calibration_store import MACHINE, calibration, point

from tokenclock.calibration_store import Calibration
from tokenclock.calibration_trust import disturbance
from tokenclock.report.calibration_table import render


def test_a_load_that_fails_below_one_that_does_not() -> None:
    points = [point(36), point(800, 150_000), point(3_200, 7_000), point(51_200, 120_000)]
    assert disturbance(points, MACHINE) == "800 events/s were off by 150 us (limit 100), 3200 by 7 only"
    assert disturbance([point(36), point(800), point(3_200, 120_000), point(3_100, 500_000)], MACHINE) is None
    assert disturbance([point(36, 200_000), point(800, 300_000)], MACHINE) is None, "too much from the first on"


@pytest.mark.parametrize(("load", "busy"), [(2.0, False), (2.1, True), (5.8, True), (None, False)])
def test_a_busy_machine(load: float | None, busy: bool) -> None:
    machine = {**MACHINE, "load_average": None if load is None else [load, 0.0, 0.0]}  # of four cores
    found = disturbance([point(100)], machine)
    assert found == (f"the load average before was {load:.1f} (above 2, half of the cores)" if busy else None)


def test_a_machine_that_is_shared() -> None:
    assert disturbance([point(100)], MACHINE, 0.02) is None
    found = disturbance([point(100)], {**MACHINE, "load_average": [3.0]}, 0.25)
    assert found is not None
    assert found.startswith("the load average before was 3.0")
    assert found.endswith("; the hypervisor gave 25% of its time to others (above 2%)")


def test_the_table_says_so() -> None:
    quiet = calibration(point(100))
    assert "disturbed" not in render(quiet)
    assert "The machine was disturbed, so this is no ceiling of its own: noise." in render(
        Calibration(quiet.created, False, {**MACHINE, "cpus_allowed": 1}, quiet.points, "noise")
    )
    assert ", 1 core, " in render(Calibration(quiet.created, False, {**MACHINE, "cpus_allowed": 1}, quiet.points))
    assert ", 2 cores, " in render(Calibration(quiet.created, False, {**MACHINE, "cpus_allowed": 2}, quiet.points))
