from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tokenclock.calibration_store import Calibration, CalibrationPoint, kept_calibration, kept_path, machine_key
from tokenclock.errors import UsageError
from tokenclock.report.calibration_table import render

MACHINE = {"host": "h", "cpu_model": "c", "cpus_online": 4, "kernel": "6.1"}


def point(events_per_s: float, error_ns: float = 5_000.0, **change: float) -> CalibrationPoint:
    values = dict.fromkeys((field.name for field in dataclasses.fields(CalibrationPoint)), 0.0)
    errors = dict.fromkeys(("ttft_mean_ns", "ttft_p99_ns", "itl_p99_ns", "tpot_p99_ns"), error_ns)
    known = {"n_streams": 1, "n_events": 10, "n_requests": 1, "kernel_share": 1.0, "events_per_s": events_per_s}
    return CalibrationPoint(**{**values, **errors, **known, **change})  # type: ignore[arg-type]


def calibration(*points: CalibrationPoint) -> Calibration:
    return Calibration("2026-11-24T10:00:00+00:00", False, MACHINE, points)


def test_the_ceiling_is_the_last_rate_before_an_error_reaches_the_limit() -> None:
    assert calibration(point(300, 50_000), point(100), point(200)).ceiling_events_per_s == 300
    assert calibration(point(100), point(200, 100_000), point(300)).ceiling_events_per_s == 100
    assert calibration(point(100), point(200, -150_000)).ceiling_events_per_s == 100
    assert calibration(point(100, 200_000), point(200)).ceiling_events_per_s is None


def test_a_ceiling_that_no_load_was_past_is_a_lower_bound() -> None:
    assert calibration(point(100), point(200, 100_000)).ceiling_was_met
    untested = calibration(point(100), point(200))
    assert not untested.ceiling_was_met
    assert "at least 200 events/s, the highest load tried" in render(untested)
    assert "at least" not in render(calibration(point(100), point(200, 100_000)))


@pytest.mark.parametrize("name", ["ttft_mean_ns", "ttft_p99_ns", "itl_p99_ns", "tpot_p99_ns"])
def test_each_error_counts(name: str) -> None:
    assert calibration(point(100), point(200, **{name: 120_000.0})).ceiling_events_per_s == 100


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = calibration(point(100), point(200, 7_000, read_lag_p99_ns=12.5))
    written.save(tmp_path / "deep/er/c.json")
    assert Calibration.load(tmp_path / "deep/er/c.json") == written
    doubted = Calibration("2026", False, MACHINE, (point(100),), "noise", interrupted=True)
    assert Calibration.from_dict(doubted.to_dict()) == doubted
    earlier = {name: value for name, value in written.to_dict().items() if name not in ("disturbed", "interrupted")}
    assert Calibration.from_dict(earlier) == written
    assert written.to_dict()["ceiling_events_per_s"] == 200
    assert written.uses_kernel_stamps
    assert not calibration(point(100), point(200, kernel_share=0.5)).uses_kernel_stamps


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 2}', '{"schema": 1, "points": [{"x": 1}]}'])
def test_what_is_no_calibration_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TOKENCLOCK_CACHE", str(tmp_path))
    kept_path(MACHINE).write_text(text)
    with pytest.raises(UsageError, match="calibrate again"):
        Calibration.load(kept_path(MACHINE))
    assert kept_calibration(MACHINE) is None


def test_each_machine_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENCLOCK_CACHE", str(tmp_path))
    assert kept_calibration(MACHINE) is None
    calibration(point(100)).save(kept_path(MACHINE))
    assert kept_calibration({**MACHINE, "kernel": "6.2"}) == calibration(point(100))
    assert kept_calibration({**MACHINE, "host": "other"}) is None
    assert machine_key(MACHINE) != machine_key({**MACHINE, "cpus_online": 8})
