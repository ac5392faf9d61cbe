"""The plugin as users meet it: pytest typed in an empty folder, items from a list alone."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CASE = "tiny_llama-bench-pytorch-streaming-float32-input_output_len:8,4-reqs:4-con:1"
NODE = f"perf/test_perf.py::test_perf[{CASE}]"
CANONICAL = "tiny_llama-bench-pytorch-streaming-float32-maxbs:512-maxnt:2048-input_output_len:8,4-reqs:4-con:1"


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """pytest in a process of its own, away from the configuration of this repository."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        cwd=folder, env=own, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def listed(folder: Path, *lines: str) -> str:
    (folder / "perf_test.txt").write_text("\n".join(lines or (NODE,)) + "\n")
    return "--test-list=perf_test.txt"


def test_the_flow_s_command_from_an_empty_folder(tmp_path: Path) -> None:
    ran = run_pytest(
        tmp_path, "-v", "-s", "--test-prefix=H100_80GB_HBM3", listed(tmp_path), f"-R={CASE}", "--output-dir=./output",
        "--perf", "--perf-log-formats=csv", "-o", "junit_logging=out-err", "--junitxml=junit.xml",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"H100_80GB_HBM3/{NODE}" in ran.stdout
    assert "collected 1 item" in ran.stdout
    assert "1 passed" in ran.stdout
    with (tmp_path / "output" / "perf_script_test_results.csv").open() as file:
        rows = {row["metric_type"]: row for row in csv.DictReader(file)}
    assert {row["network_name"] for row in rows.values()} == {CANONICAL}
    assert rows["FIRST_TOKEN_TIME"]["state"] == "valid"
    assert float(rows["FIRST_TOKEN_TIME"]["perf_metric"]) > 0
    assert (rows["BUILD_TIME"]["state"], rows["BUILD_TIME"]["perf_metric"]) == ("skipped", "")
    case = ElementTree.parse(tmp_path / "junit.xml").getroot().find(".//testcase")
    assert case is not None
    assert case.get("name") == f"test_perf[{CASE}]"
    figures = {found.get("name"): found.get("value", "") for found in case.iter("property")}
    assert figures["canonical_label"] == CANONICAL
    assert figures["INFERENCE_TIME"].endswith(" ms")
    assert (tmp_path / "output" / "report.md").read_text().count(CANONICAL) >= 1
    assert (tmp_path / "output" / "report.html").stat().st_size > 100_000


def test_a_dry_run_prints_the_commands_and_makes_nothing(tmp_path: Path) -> None:
    ran = run_pytest(
        tmp_path, "--perf", listed(tmp_path, NODE, NODE.replace("tiny_llama", "no_model")), "--dry-run", "-O", "o"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"canonical: {CANONICAL}" in ran.stdout
    assert (
        "dataset: tokenclock prepare-dataset --stdout --vocab-size=2048 token-norm-dist --num-requests=4" in ran.stdout
    )
    assert "throughput: tokenclock --model=no_model_hf --model_path=MODELS/no_model throughput" in ran.stdout
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["perf_test.txt"]


def test_stored_runs_are_evaluated_again(tmp_path: Path) -> None:
    first = run_pytest(tmp_path, "--perf", listed(tmp_path), "-O", "first", "--perf-log-formats=csv")
    again = run_pytest(tmp_path, "--perf", listed(tmp_path), "-O", "again", "--perf-log-formats=csv", "--replay=first")
    assert (first.returncode, again.returncode) == (0, 0), again.stdout
    values = [
        (tmp_path / name / "perf_script_test_results.csv").read_text().splitlines() for name in ("first", "again")
    ]
    columns = [[(row["metric_type"], row["perf_metric"]) for row in csv.DictReader(lines)] for lines in values]
    assert columns[0] == columns[1]


def test_a_case_that_fails_says_why_and_leaves_rows(tmp_path: Path) -> None:
    (tmp_path / "no_model").mkdir()
    (tmp_path / "models.yml").write_text("broken: no_model\n")
    ran = run_pytest(
        tmp_path, "--perf", listed(tmp_path, NODE.replace("tiny_llama", "broken"), NODE), "-O", "o",
        "--perf-models=models.yml", "--perf-log-formats=csv", "--perf-runtime=ctranslate2",
    )  # fmt: skip
    assert ran.returncode == 1
    assert "1 failed, 1 passed" in ran.stdout
    assert "Traceback" not in ran.stdout
    assert "everything of it is in" in ran.stdout
    with (tmp_path / "o" / "perf_script_test_results.csv").open() as file:
        states = {(row["network_name"].split("-")[0], row["state"]) for row in csv.DictReader(file)}
    assert {("broken", "failed"), ("tiny_llama", "valid")} <= states


def test_a_waived_case_is_skipped_with_its_reason_and_a_row(tmp_path: Path) -> None:
    (tmp_path / "waives.txt").write_text(f"{NODE} SKIP (known to be slow)\n")
    ran = run_pytest(
        tmp_path, "--perf", listed(tmp_path), "-S", "waives.txt", "-O", "o", "--perf-log-formats=json", "-rs"
    )
    assert ran.returncode == 0, ran.stdout
    assert "1 skipped" in ran.stdout
    assert "waived: known to be slow" in ran.stdout


def test_six_runs_of_one_case_and_a_gate(tmp_path: Path) -> None:
    words = ("--perf", listed(tmp_path), "--perf-history=history.sqlite", "-s")
    for _ in range(3):
        assert run_pytest(tmp_path, *words).returncode in (0, 1)
    ran = run_pytest(tmp_path, *words)
    assert "INFERENCE_TIME: " in ran.stdout
    verdicts = ("regression", "improvement", "no difference shown", "too noisy", "no baseline")
    assert any(f"INFERENCE_TIME: {verdict}" in ran.stdout for verdict in verdicts)


@pytest.mark.parametrize(
    ("lines", "words", "said"),
    [
        ((NODE,), ("--perf",), "--perf needs --test-list FILE"),
        ((NODE,), ("--test-list=perf_test.txt",), "--test-list needs --perf"),
        ((NODE,), ("--perf", "--test-list=none.txt"), "cannot read none.txt"),
        ((NODE.replace("float32", "flot32"),), ("--perf", "--test-list=perf_test.txt"), "did you mean float32"),
        ((NODE.replace("float32", "flot32"),), ("--perf", "--test-list=perf_test.txt"), "    " + " " * 35 + "^^^^^^"),
        ((NODE.replace("tiny_llama", "tiny_lama"),), ("--perf", "--test-list=perf_test.txt"), "near: tiny_llama"),
        ((NODE,), ("--perf", "--test-list=perf_test.txt", "-R", "con:7"), "no test of the list has it in its name"),
        ((NODE,), ("--perf", "--test-list=perf_test.txt", "-S", "perf_test.txt"), "expected TEST SKIP (REASON)"),
        ((NODE,), ("--perf", "--test-list=perf_test.txt", "--perf-repeats=0"), "--perf-repeats must be 1 or more"),
        ((NODE,), ("--perf", "--test-list=perf_test.txt", "--perf-log-formats=xml"), "--perf-log-formats must be"),
        ((NODE,), ("--perf", "--test-list=perf_test.txt", "--replay=nowhere"), "which is no directory"),
        ((NODE,), ("--perf", "--test-list=perf_test.txt", "-O", "perf_test.txt"), "--output-dir"),
    ],
)  # fmt: skip
def test_usage_errors_are_pytest_s_own(
    tmp_path: Path, lines: tuple[str, ...], words: tuple[str, ...], said: str
) -> None:
    listed(tmp_path, *lines)
    ran = run_pytest(tmp_path, *words)
    assert ran.returncode == 4, ran.stdout + ran.stderr
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["perf_test.txt"]


def test_other_tests_do_not_notice_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own(): assert True\n")
    assert "1 passed" in run_pytest(tmp_path).stdout
    with_perf = run_pytest(tmp_path, "--perf", listed(tmp_path), "--dry-run")
    assert "test_own" not in with_perf.stdout


def test_options_leave_where_another_suite_has_them(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("def pytest_addoption(parser): parser.addoption('--test-list')\n")
    (tmp_path / "test_own.py").write_text("def test_own(): assert True\n")
    own = {**os.environ, "TOKENCLOCK_NO_PERF_PLUGIN": "1"}
    for words, env in (((), own), (("-p", "no:tokenclock"), None)):
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert "1 passed" in ran.stdout, ran.stderr


def test_the_local_list_passes_here(tmp_path: Path) -> None:
    lists = REPOSITORY / "perf_lists"
    ran = run_pytest(
        tmp_path, "--perf", f"--test-list={lists / 'local.txt'}", f"--perf-models={lists / 'models.yml'}",
        f"--perf-config-folder={lists / 'servers'}", "--output-dir=output", "--perf-log-formats=csv",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 passed" in ran.stdout
