from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import result_of
from tests.simulate.processes import stalling_server

from tokenclock.__main__ import main
from tokenclock.metrics.facts import RunFacts
from tokenclock.report import columns_file, json_file

Save = Callable[..., Path]


@pytest.fixture(scope="module")
def save() -> Save:
    """Write a simulated run: ``save(path, slots=4, slowdown=1.0, seed=1)``."""

    def write(path: Path, *, slots: int = 4, slowdown: float = 1.0, seed: int = 1, workload: str = "ab") -> Path:
        rng, prompts = np.random.default_rng([seed, slots]), np.random.default_rng(slots)
        records = stalling_server(rng, 320, slots, prompts=prompts, slowdown=slowdown)
        result = result_of(records, RunFacts(max_concurrency=slots))
        plan = {"command": "serving", "endpoint": {"model": "m"}, "load": {"max_concurrency": slots}}
        path.parent.mkdir(parents=True, exist_ok=True)
        json_file.write(dataclasses.replace(result, plan=plan, workload={"sha256": workload * 32}), path)
        columns_file.write(records, columns_file.columns_path(path))
        return path

    return write


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, save: Save) -> Path:
    """The tree of a comparison's README, one side a third slower."""
    folder = tmp_path_factory.mktemp("bench_results")
    for slots in (4, 8):
        save(folder / "pytorch_hf" / f"concurrency_{slots}.json", slots=slots)
        save(folder / "trt_engine" / f"concurrency_{slots}.json", slots=slots, slowdown=1.3, seed=2)
    return folder


def run(*argv: str | Path) -> int:
    return main(["compare", *map(str, argv)])


def test_without_arguments_the_folders_here_are_the_sides(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tree)
    assert run() == 0
    out, err = capsys.readouterr()
    assert "trt_engine against pytorch_hf, concurrency 4" in out
    assert "trt_engine against pytorch_hf, concurrency 8" in out
    (line,) = [line for line in out.splitlines() if "ITL median" in line][:1]
    assert "worse" in line
    assert "paired requests, within-run only" in out
    assert err == ""


def test_every_file(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: tmp_path / f"c.{name}" for name in ("summary", "markdown", "json", "png")}
    assert run(tree, *(f"--{name}={path}" for name, path in paths.items())) == 0
    assert capsys.readouterr().err.count("written to") == 4
    found = json.loads(paths["json"].read_text())
    assert (found["kind"], found["baseline"]) == ("comparison", "pytorch_hf")
    rows = {row["metric"]: row for row in found["points"][0]["rows"]}
    assert rows["itl.p50"]["verdict"] == "worse"
    assert rows["itl.p50"]["ratio"] == pytest.approx(1.3, rel=0.05)
    assert rows["itl.p50"]["speed_up"] == pytest.approx(1 / rows["itl.p50"]["ratio"])
    assert [at["load"]["concurrency"] for at in found["curves"]["trt_engine"]] == [4, 8]
    summary = paths["summary"].read_text()
    for title in ("METRICS BY LOAD", "SPEED-UP OVER pytorch_hf", "SCALING AGAINST THE LOWEST LOAD", "VERDICTS"):
        assert title in summary
    assert "| ITL median (ms) |" in paths["markdown"].read_text()
    assert paths["png"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_every_file_says_what_the_gate_said(tree: Path, tmp_path: Path) -> None:
    paths = {name: tmp_path / f"c.{name}" for name in ("summary", "markdown", "html", "json")}
    flags = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    assert run(tree, *flags, "--fail-if", "itl.p50 > +20%", "--fail-if", "itl.p50 < -20%") == 3
    for name in ("summary", "markdown", "html"):
        text = paths[name].read_text()
        assert "Gate missed: --fail-if was met" in text, name
        assert "trt_engine at concurrency 4 (itl.p50 +" in text, name
        assert "itl.p50 < -20%" not in text.replace("&lt;", "<"), name
    gate = json.loads(paths["json"].read_text())["gate"]
    assert gate["conditions"] == ["itl.p50 > +20%", "itl.p50 < -20%"]
    assert len(gate["met"]) == 2
    assert run(tree, *flags, "--fail-if", "itl.p50 > +60%", "--fail-if", "itl.p50 < -20%") == 0
    assert (
        "**Gate passed: none of 2 --fail-if conditions was met**\n\n- itl.p50 > +60%" in paths["markdown"].read_text()
    )
    assert run(tree, "--markdown", str(paths["markdown"])) == 0
    assert "Gate" not in paths["markdown"].read_text()


def test_conditions_end_with_3(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tree, "--fail-if", "itl.p50 > +60%") == 0
    assert run(tree, "--fail-if", "itl.p50 > +60%", "--fail-if", "itl.p50 > +20% shown") == 3
    assert "--fail-if was met: itl.p50 > +20% shown: trt_engine at concurrency 4" in capsys.readouterr().err


def test_tails_can_be_named(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tree, "--metrics", "tpot.p90,ttft.p95", "--fail-if", "e2el.p95 > +900%") == 0
    out = capsys.readouterr().out
    assert "TPOT P90 (ms)" in out
    assert "TTFT P95 (ms)" in out
    assert "E2EL P95 (ms)" in out  # what a condition judges is compared
    assert run(tree, "--fail-if", "total_throughput > 1/s") == 3
    assert "ITL median (ms)" in capsys.readouterr().out


def test_names_and_the_baseline_are_the_users(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = f"old={tree / 'trt_engine'}", f"new={tree / 'pytorch_hf'}"
    assert run(*names) == 0
    assert "new against old" in capsys.readouterr().out
    assert run(*names, "--baseline", "new", "--metrics", "itl.p50") == 0
    out = capsys.readouterr().out
    assert "old against new" in out
    assert "TTFT" not in out


def test_a_foreign_file_is_compared_without_a_verdict(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"completed": 320, "num_prompts": 320, "duration": 9, "request_throughput": 9.0, "max_concurrency": 4}
    (tmp_path / "other.json").write_text(json.dumps({**values, "mean_ttft_ms": 900.0, "model_id": "m"}))
    assert run(tree / "pytorch_hf", tmp_path / "other.json") == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "TTFT mean" in line][:1]
    assert "not enough data" in line
    assert "Note: other: files of benchmark_serving hold no requests and no hash of them" in out


def test_other_requests_are_refused(tree: Path, tmp_path: Path, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    other = save(tmp_path / "other.json", workload="cd")
    assert run(tree / "pytorch_hf" / "concurrency_4.json", other) == 2
    assert "the requests differ (workload abababab against cdcdcdcd" in capsys.readouterr().err
    assert run(tree / "pytorch_hf" / "concurrency_4.json", other, "--force") == 0
    assert "not the same work (--force): the requests differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["EMPTY"], "expected two sub-folders or more with results in .*, got none"),
        (["TREE/pytorch_hf", "EMPTY"], "holds no result: expected a result of tokenclock"),
        (["TREE/pytorch_hf/concurrency_4.json"], "expected two results or more, got only"),
        (["TREE/pytorch_hf", "TREE/pytorch_hf"], "named twice"),
        (["TREE", "--baseline", "nobody"], "--baseline nobody is none of the sides: pytorch_hf, trt_engine"),
        (["TREE", "--metrics", "ttft.p98"], r"unknown metric ttft.p98 \(did you mean"),
        (["TREE", "--metrics", ""], "--metrics must be names such as ttft.mean,tpot.p99, got nothing"),
        (["TREE", "--fail-if", "x"], "--fail-if expects conditions"),
        (["TREE", "--min-effect", "x"], "--min-effect must be a percentage from 0 to 100, got x"),
        (
            ["TREE", "--json", "nowhere/x.json"],
            r"--json must name a file that can be written, got nowhere/x.json "
            r"\(there is no directory nowhere\); make it first",
        ),
        (["TREE", "--json", "x", "--markdown", "./x"], "--markdown and --json name the same file"),
        (["TREE", "--png", "EMPTY"], "--png must name a file that can be written, got .*it is a directory"),
        (["nowhere", "TREE", "--png", "/proc/x.png"], "--png must name a file that can be written, got /proc/x.png"),
        (["nowhere", "TREE", "--html", "/dev/null"], "--html must name .* no regular file"),
        (["nowhere", "TREE", "--summary", "x" * 260], "--summary must name .*File name too long"),
        (["TREE", "--summary", ""], "an empty name"),
        (["TREE", "--sumary", "x"], "unknown flag --sumary"),
        (["nowhere", "TREE"], "cannot read nowhere"),
        (["CUT", "TREE/pytorch_hf"], r"cut.json:1 is no whole JSON"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    tree: Path, tmp_path: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    whole = (tree / "pytorch_hf" / "concurrency_4.json").read_text()
    (tmp_path / "cut.json").write_text(whole[: len(whole) // 2])
    places = {"TREE": str(tree), "EMPTY": str(tmp_path / "empty"), "CUT": str(tmp_path / "cut.json")}
    for word, place in places.items():
        argv = [argument.replace(word, place) for argument in argv]
    assert run(*argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    import re

    assert re.search(message, err), err


def test_help_starts_without_numpy() -> None:
    code = (
        "import sys; from tokenclock.cli.compare import build_parser; build_parser(); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
