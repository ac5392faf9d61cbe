"""`tokenclock demo --light`, as a user types it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tokenclock.cli import demo
from tokenclock.errors import MeasurementError
from tokenclock.result import Result
from tokenclock.serving import real_server


def test_the_light_demo_states_our_error_and_leaves_its_results(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tokenclock", "demo", "--light", "--result-dir", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " Serving Benchmark Result " in done.stdout
    assert " Measurement quality " in done.stdout
    error = done.stdout[done.stdout.index("=== Our error against the paced server's truth ===") :]
    assert re.search(r"^Answers compared: +1024$", error, re.MULTILINE)
    assert re.search(r"^Gaps between tokens compared: +64512$", error, re.MULTILINE)
    for row in ("Error of mean TTFT", "Error of P99 TTFT", "CPU of the client per token"):
        assert re.search(rf"^{row} \(us\): +-?\d+\.\d+$", error, re.MULTILINE)
    assert "agreement" not in done.stdout.lower()
    assert "the real model is left out" in done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    offline = [
        f"offline_{family}.{ending}" for family in ("dec", "enc-dec", "enc") for ending in ("columns.npz", "json")
    ]
    assert names == [*offline, "paced_server.columns.npz", "paced_server.json", "paced_server.truth.npz"]
    assert done.stdout.count("[BENCHMARK] model_name ") == 4 + 4 + 2
    for family in ("dec", "enc", "enc-dec"):
        cases = Result.load(tmp_path / "out" / f"offline_{family}.json").cases
        assert {case["status"] for case in cases} == {"measured"}
    assert Result.load(tmp_path / "out/paced_server.json").requests["ok"] == 1024


def test_without_the_wheels_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(real_server, "missing_wheels", lambda: ["xllamacpp"])
    with pytest.raises(MeasurementError, match=r"tokenclock\[demo\].*--light"):
        demo.main(["--result-dir", str(tmp_path)])
