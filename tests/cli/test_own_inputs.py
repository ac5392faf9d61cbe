"""Outputs that are inputs: refused, and what was measured is still there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import result_of
from tests.simulate.processes import stalling_server

from tokenclock.__main__ import main
from tokenclock.metrics.facts import RunFacts
from tokenclock.report import columns_file, json_file


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sides, a/run.json and b/run.json, with their columns; links to the first; a page of an earlier report."""
    for name in ("a", "b"):
        records = stalling_server(np.random.default_rng(0), 40, 4)
        path = tmp_path / name / "run.json"
        path.parent.mkdir()
        json_file.write(result_of(records, RunFacts(max_concurrency=4)), path)
        columns_file.write(records, columns_file.columns_path(path))
    (tmp_path / "link.json").symlink_to("a/run.json")
    os.link(tmp_path / "a/run.json", tmp_path / "hard.json")
    (tmp_path / "a/table.json").write_text('{"kind": "comparison"}')
    (tmp_path / "a/page.html").write_text("<html>")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "report a/run.json --html a/run.json",
        "report link.json --markdown a/run.json",
        "report a/run.json --html link.json",
        "report a/run.json --html hard.json",
        "report a --html a/run.json",
        "report a/run.json --hlog a/run.columns.npz",
        "report a --hlog a/run.columns.npz",
        "report a/run.json b/run.json --png a/../b/run.columns.npz",
        "compare a b --json a/run.json",
        "compare x=a/run.json y=b/run.json --summary b/run.json",
        "compare a b --html hard.json",
        "compare . --json b/run.json",
        "compare --json b/run.json",
        "compare a b --markdown b/run.columns.npz",
    ],
)
def test_an_input_is_never_written_over(sides: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in sides.rglob("*") if path.is_file()}
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "must not be a file that is read" in err
    assert {path: path.read_bytes() for path in sides.rglob("*") if path.is_file()} == before


def test_a_picture_of_several_is_named_after_its_run(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sides / "a/run.json").rename(sides / "mid.json")
    (sides / "b/run.json").rename(sides / "x-mid.json")
    assert main(["report", "mid.json", "x-mid.json", "--png", "x.json"]) == 2
    assert "--png must not be a file that is read, got " in capsys.readouterr().err


@pytest.mark.parametrize("line", ["report a --html a/page.html", "compare a b --json a/out.json"])
def test_what_was_written_before_may_be_written_anew(sides: Path, line: str) -> None:
    assert main(line.split()) == 0
    assert main(line.split()) == 0
