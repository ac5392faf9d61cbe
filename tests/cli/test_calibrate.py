"""`tokenclock calibrate --quick`, as a user types it; and what later results make of a calibration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokenclock import PacedServer, calibration
from tokenclock.calibration import FULL, QUICK, Level
from tokenclock.calibration_store import Calibration, kept_path
from tokenclock.cli import calibrate
from tokenclock.environment import collect
from tokenclock.errors import MeasurementError, TokenclockError
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
    for point, level in zip(found.points, QUICK, strict=True):
        assert point.n_requests == level.n_requests
        assert point.n_events == level.n_requests * level.osl
        assert point.cpu_ns_per_event > 0
        assert point.user_ttft_mean_ns >= point.ttft_mean_ns
    assert not (tmp_path / "cache").exists(), "three short points are not kept for later results"


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
    assert done.returncode == 0, done.stderr
    assert "Of this machine's ceiling: " in done.stdout
    assert " of 50000 events/s" in done.stdout
    said = Result.load(tmp_path / "r.json").client["calibration"]
    assert said["share_of_ceiling"] == pytest.approx(said["events_per_s"] / 50_000)
    assert said["calibrated"] == found.created
    assert without.returncode == 0, without.stderr
    assert "ceiling" not in without.stdout


def test_answers_that_fail_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**options: object) -> PacedServer:
        return PacedServer(faults=["status=503:1"])

    monkeypatch.setattr(calibration, "PacedServer", broken)
    with pytest.raises(MeasurementError, match="10 of 10 answers of the paced server failed"):
        calibration.measure(Level(1, 5.0, 0.1))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in_the_way").write_text("")
    found = Calibration("2026", True, {}, (calibration.measure(Level(1, 5.0, 0.1)),))
    monkeypatch.setattr(calibration, "calibrate", lambda **_: found)
    with pytest.raises(TokenclockError, match=r"cannot write .*in_the_way.*--result-dir"):
        calibrate.main(["--quick", "--result-dir", str(tmp_path / "in_the_way")])
