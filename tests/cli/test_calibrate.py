"""`tokenclock calibrate --quick`, as a user types it; and what later results make of a calibration."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.test_calibration_store import point

from tokenclock import PacedServer, calibration
from tokenclock.calibration import FULL, QUICK, Level
from tokenclock.calibration_store import Calibration, kept_path
from tokenclock.cli import calibrate
from tokenclock.environment import collect
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.result import Result


def run(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tokenclock", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "TOKENCLOCK_CACHE": str(cache)},
    )


def test_a_quick_one_prints_its_table_and_leaves_json_and_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="no picture without matplotlib: pip install 'tokenclock[report]'")
    done = run("calibrate", "--quick", "--result-dir", str(tmp_path / "out"), cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines[2 : 2 + len(QUICK)]] == [level.n_streams for level in QUICK]
    assert "Stamps: " in done.stdout
    assert "Ceiling (every error of TTFT, ITL and TPOT below 100 us): " in done.stdout
    assert (tmp_path / "out/calibration.png").read_bytes().startswith(b"\x89PNG")
    found = Calibration.load(tmp_path / "out/calibration.json")
    assert found.quick
    for measured, level in zip(found.points, QUICK, strict=True):
        assert measured.n_requests == level.n_requests
        assert measured.n_events == level.n_requests * level.osl
        assert measured.cpu_ns_per_event > 0
        assert measured.user_ttft_mean_ns >= measured.ttft_mean_ns
    assert not (tmp_path / "cache").exists(), "three short points are not kept for later results"


@pytest.mark.parametrize(("redirect", "code"), [(">/dev/full", 1), ("| head -1", 141)])
def test_a_stdout_that_takes_nothing_costs_no_file(tmp_path: Path, redirect: str, code: int) -> None:
    command = f"'{sys.executable}' -m tokenclock calibrate --quick --result-dir '{tmp_path}' {redirect}"
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env={**os.environ, "TOKENCLOCK_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("cannot write to standard output: No space left on device") == (code == 1)
    assert Calibration.load(tmp_path / "calibration.json").quick


def test_levels_ask_for_rising_loads_with_enough_answers() -> None:
    for levels in (FULL, QUICK):
        rates = [level.events_per_s for level in levels]
        assert rates == sorted(rates)
        assert all(level.n_requests >= 10 and level.osl >= 8 for level in levels)
    assert Level(256, 20.0, 2.5).osl == 125


def test_a_result_says_how_close_to_the_ceiling_it_came(tmp_path: Path) -> None:
    points = calibration.measure(Level(1, 5.0, 0.1))
    found = Calibration("2026-11-24T10:00:00+00:00", False, collect(), (points,))
    kept = tmp_path / "cache" / kept_path(collect()).name
    found.save(kept)
    data = json.loads(kept.read_text())
    for name in ("ttft_mean_ns", "ttft_p99_ns", "itl_p99_ns", "tpot_p99_ns"):
        data["points"][0][name] = 1000.0
    data["points"][0]["events_per_s"] = 50_000.0
    data["points"].append({**data["points"][0], "events_per_s": 60_000.0, "ttft_mean_ns": 1e6})  # past the limit
    kept.write_text(json.dumps(data))
    with PacedServer(itl_ms=5) as server:
        load = "--dataset-name random --random-ids --random-input-len 8 --random-output-len 20 --ignore-eos"
        command = f"serving --model paced --base-url {server.url} {load} --num-prompts 4 --max-concurrency 2".split()
        saved = ["--save-result", "--result-dir", str(tmp_path), "--result-filename", "r.json"]
        done = run(*command, *saved, cache=tmp_path / "cache")
        without = run(*command, cache=tmp_path / "empty")
        data["points"][0]["events_per_s"] = 10.0
        kept.write_text(json.dumps(data))
        far_above = run(*command, cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "Of this machine's ceiling: " in done.stdout
    assert " of 50000 events/s" in done.stdout
    said = Result.load(tmp_path / "r.json").client["calibration"]
    assert said["share_of_ceiling"] == pytest.approx(said["events_per_s"] / 50_000)
    assert said["calibrated"] == found.created
    assert without.returncode == 0, without.stderr
    assert "ceiling" not in without.stdout
    assert "calibrate again" not in done.stdout
    remark = "  above the ceiling kept: run tokenclock calibrate\n  again when the machine is quiet\n"
    assert f" of 10 events/s\n{remark}" in far_above.stdout


def test_answers_that_fail_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**options: object) -> PacedServer:
        return PacedServer(faults=["status=503:1"])

    monkeypatch.setattr(calibration, "PacedServer", broken)
    with pytest.raises(MeasurementError, match="10 of 10 answers of the paced server failed"):
        calibration.measure(Level(1, 5.0, 0.1))


def made(**change: Any) -> Calibration:
    return dataclasses.replace(Calibration("2026", False, collect(), (point(100), point(200))), **change)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a calibration of another day is kept."""
    monkeypatch.setenv("TOKENCLOCK_CACHE", str(tmp_path / "cache"))
    path = kept_path(collect())
    made(created="2025").save(path)
    return path


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in_the_way").write_text("")
    monkeypatch.setattr(calibration, "calibrate", lambda **_: pytest.fail("measured"))
    for place in (tmp_path / "in_the_way", Path("/proc/x")):
        with pytest.raises(UsageError, match=r"--result-dir must be a directory that can be written to, got "):
            calibrate.main(["--quick", "--result-dir", str(place)])


def test_a_file_that_cannot_be_written_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="no picture without matplotlib: pip install 'tokenclock[report]'")
    monkeypatch.setattr(calibration, "calibrate", lambda **_: made())
    (tmp_path / "out/calibration.json").mkdir(parents=True)
    assert calibrate.main(["--result-dir", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"tokenclock calibrate: cannot write {tmp_path}/out/calibration.json: ")
    assert said[0].endswith("; name another --result-dir")
    assert (tmp_path / "out/calibration.png").read_bytes().startswith(b"\x89PNG")
    assert Calibration.load(kept).created == "2026"


def test_what_a_disturbed_machine_says_is_written_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibration, "calibrate", lambda **_: made(disturbed="noise"))
    assert calibrate.main(["--result-dir", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "calibration.json").read_text())["disturbed"] == "noise"
    assert capsys.readouterr().err.splitlines()[-1] == (
        "tokenclock calibrate: the machine was disturbed: noise; the calibration kept for later runs stays as it was: "
        "stop other work, wait a minute, and calibrate again"
    )
    assert Calibration.load(kept).created == "2025"
    monkeypatch.setattr(calibration, "calibrate", lambda **_: made())
    assert calibrate.main(["--result-dir", str(tmp_path)]) == 0
    assert Calibration.load(kept).created == "2026"


def test_a_sweep_notes_what_disturbed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {1: point(50), 32: point(1600, 200_000), 128: point(6400)}
    monkeypatch.setattr(calibration, "measure", lambda level: points[level.n_streams])
    found = calibration.calibrate(quick=True)
    assert found.disturbed is not None
    assert "1600 events/s were off by 200 us (limit 100), 6400 by 5 only" in found.disturbed
    assert found.ceiling_events_per_s == 50


def test_ctrl_c_leaves_what_was_measured(tmp_path: Path, kept: Path) -> None:
    command = [sys.executable, "-m", "tokenclock", "calibrate", "--result-dir", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while not child.stdout.readline().strip().startswith("1 "):
            pass
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Ceiling (" in out
    assert err.splitlines()[-1] == (
        "tokenclock calibrate: interrupted: of the loads, those above (1) were measured; "
        "the calibration kept for later runs stays as it was"
    )
    found = Calibration.load(tmp_path / "out/calibration.json")
    assert found.interrupted
    assert len(found.points) == 1
    assert Calibration.load(kept).created == "2025"


def test_ctrl_c_before_anything_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(level: Level) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibration, "measure", interrupted)
    assert calibrate.main(["--result-dir", str(tmp_path)]) == 130
    assert capsys.readouterr().err == (
        "tokenclock calibrate: interrupted before the first load was measured: nothing is written\n"
    )
    assert not list(tmp_path.iterdir())
