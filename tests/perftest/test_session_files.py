"""The files of a session, and its reports, of outcomes made by hand."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from tests.perftest.case_makers import make_outcome, make_row, make_settings

from tokenclock.errors import UsageError
from tokenclock.perftest import gpu_monitor, session_properties
from tokenclock.perftest.junit import properties
from tokenclock.perftest.outcome import Outcome
from tokenclock.perftest.session_files import SessionFiles


@dataclass(frozen=True)
class Decision:
    metric: str = "INFERENCE_TIME"
    verdict: str = "regression"
    value: float | None = 12.5
    baseline: float | None = 10.0
    ratio: float | None = 1.25
    low: float | None = 1.2
    high: float | None = 1.3
    reason: str = "25 % more <than> before"
    n_history: int = 8
    smallest_seen: float | None = 0.03
    trend: tuple[float, ...] = (10.0, 10.1, 10.0, 12.5)


def valid(folder: Path) -> Outcome:
    rows = (make_row("INFERENCE_TIME", 12.5), make_row("KV_CACHE_SIZE", None, "skipped", "KV_CACHE_SIZE: none told"))
    return make_outcome(folder, "valid", rows)


def test_a_session_leaves_its_files(tmp_path: Path) -> None:
    output = tmp_path / "new" / "output"
    settings = make_settings(
        output_dir=output,
        log_formats=("csv", "yaml", "json"),
        test_prefix="H100",
        options={"perf": True, "x": Path("y")},
    )
    session = SessionFiles(settings)
    assert yaml.safe_load((output / "session_data.yml").read_text())["end_timestamp"] is None
    session.add(valid(tmp_path))
    command = "tokenclock baseline accept --history 'a <b>.db' --label x --reason WHY"
    session.decide([Decision()], accept=command)
    session.add(make_outcome(tmp_path, "failed", reason="dataset ended | with <exit code 2>"))
    with open(output / "perf_script_test_results.csv", newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["valid", "skipped", "failed"]  # before its end
    assert session.finish() == output / "report.html"
    assert (output / "gpu_monitoring.csv").read_text().splitlines()[0] == ",".join(gpu_monitor.COLUMNS)
    with open(output / "session_properties.csv", newline="") as file:
        (found,) = csv.DictReader(file)
    assert tuple(found) == session_properties.COLUMNS
    assert found["hostname"]
    assert found["end_timestamp"] >= found["start_timestamp"]
    data = yaml.safe_load((output / "session_data.yml").read_text())
    assert data["options"] == {"perf": True, "x": "y"}
    text = (output / "report.md").read_text()
    assert "2 cases: 1 valid, 1 failed; gate, by metric: 1 regression." in text
    assert "| INFERENCE_TIME | regression | 12.5 ms | 10 ms | +25.0 % [+20.0, +30.0] | ▁▁▁█ | 3.0 % | 8 |" in text
    assert "25 % more &lt;than> before" in text
    assert "dataset ended \\| with &lt;exit code 2>" in text
    assert f"make these the baseline:\n\n```\n{command}\n```\n" in text
    page = (output / "report.html").read_text()
    assert "make these the baseline: <code>tokenclock baseline accept --history &#x27;a &lt;b&gt;.db&#x27;" in page
    assert "2 cases: 1 valid, 1 failed; gate, by metric: 1 regression" in page
    assert "25 % more &lt;than&gt; before" in page
    assert "against-baseline" in page


def test_what_the_gate_measured_more_takes_the_case_s_place(tmp_path: Path) -> None:
    session = SessionFiles(make_settings(output_dir=tmp_path))
    session.add(valid(tmp_path))
    session.decide([], replace(valid(tmp_path), repeats=({}, {}, {})))
    session.finish()
    assert "| valid |  | 3 |" in (tmp_path / "report.md").read_text()


def test_without_a_place_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for settings in (make_settings(log_formats=("csv",)), make_settings(output_dir=tmp_path / "o", dry_run=True)):
        session = SessionFiles(settings)
        session.add(valid(tmp_path))
        assert session.finish() is None
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_to_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--output-dir must be a directory"):
        SessionFiles(make_settings(output_dir=tmp_path / "file"))
    with pytest.raises(UsageError, match="--perf-log-formats must be csv, yaml, json, got xml"):
        SessionFiles(make_settings(output_dir=tmp_path, log_formats=("xml",)))


def test_properties_for_junit(tmp_path: Path) -> None:
    outcome = valid(tmp_path)
    assert properties(outcome, [Decision()]) == [
        ("canonical_label", outcome.case.canonical),
        ("state", "valid"),
        ("INFERENCE_TIME", "12.5 ms"),
        ("KV_CACHE_SIZE", "skipped"),
        ("verdict INFERENCE_TIME", "regression: 25 % more <than> before"),
    ]
