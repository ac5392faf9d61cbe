"""The plugin as users meet it: pytest in a folder of its own."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tokenclock.store.database import open_database
from tokenclock.store.record import MetricValue, hash_of

LABEL = "tiny_llama-bench-pytorch-float32-maxbs:4-maxnt:512-input_output_len:8,4-reqs:4"
_OTHERS = ("cacheprovider", "benchmark", "hypothesispytest", "anyio")
_WITHOUT = [word for name in _OTHERS for word in ("-p", f"no:{name}")]
LISTS = Path(__file__).parents[2] / "perf_lists"
ENTRY = f"perf/test_perf.py::test_perf[{LABEL}]"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def run(folder: Path, *words: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """pytest in `folder`, whose list.txt and models.yml are there; `before`: words in front of the command."""
    models = folder / "models.yml"
    if not models.exists():
        models.write_text("tiny_llama: tiny:llama\n")
    command = [*before, sys.executable, "-m", "pytest", *_WITHOUT, *words]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120)


def listed(folder: Path, *lines: str) -> None:
    (folder / "list.txt").write_text("".join(f"{line}\n" for line in lines))


LONGER = ENTRY.replace("8,4-reqs:4", "8,64-reqs:32")
"""Takes some milliseconds on any machine, where a change of 1 ms counts."""

PERF = ("--perf", "--test-list=list.txt", "--perf-models=models.yml")


def test_the_flow_s_command_works_in_an_empty_folder(tmp_path: Path) -> None:
    listed(tmp_path, ENTRY, ENTRY.replace("reqs:4", "reqs:5"))
    ended = run(
        tmp_path, "-v", "-s", "--test-prefix=H100_80GB_HBM3", f"-R={LABEL}", "--output-dir=./output",
        "--perf-log-formats=csv", "-o", "junit_logging=out-err", "--junitxml=junit.xml", *PERF,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed, 1 deselected" in ended.stdout
    assert "collected 2 items / 1 deselected / 1 selected" in ended.stdout
    assert f"H100_80GB_HBM3/{ENTRY}" in ended.stdout
    names = {path.name for path in (tmp_path / "output").iterdir()}
    assert {"perf_script_test_results.csv", "report.html", "report.md", "session_properties.csv"} <= names
    case = ET.parse(tmp_path / "junit.xml").find(".//testcase")
    assert case is not None
    found = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert found["state"] == "valid"
    assert float(str(found["INFERENCE_TIME"]).removesuffix(" ms")) > 0
    again = run(tmp_path, "--replay=output", *PERF, "--junitxml=again.xml", f"-R={LABEL}")
    assert again.returncode == 0, again.stdout + again.stderr
    replayed = ET.parse(tmp_path / "again.xml").findall(".//property")
    assert found == {one.get("name"): one.get("value") for one in replayed}


def test_a_dry_run_prints_commands_and_runs_nothing(tmp_path: Path) -> None:
    listed(tmp_path, ENTRY)
    ended = run(tmp_path, "--dry-run", "--output-dir=output", *PERF)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "tokenclock prepare-dataset --stdout" in ended.stdout
    assert " throughput --dataset=" in ended.stdout
    assert "passed" not in ended.stdout
    assert not (tmp_path / "output").exists()


def test_a_database_that_has_nothing_for_this_machine_says_so(tmp_path: Path) -> None:
    (tmp_path / "list.yml").write_text(f"l: [{{condition: {{terms: {{os: none}}}}, tests: ['{ENTRY}']}}]\n")
    ended = run(tmp_path, "--perf", "--test-list=list.yml")
    assert ended.returncode == 5, ended.stdout + ended.stderr
    assert "no block has a condition that holds on this machine" in ended.stderr


def test_waived_cases_are_skipped_with_their_reason(tmp_path: Path) -> None:
    listed(tmp_path, ENTRY)
    (tmp_path / "waives.txt").write_text(f"{ENTRY} SKIP (bug 7)\n")
    ended = run(tmp_path, "-rs", "-S", "waives.txt", "-O", "output", "--perf-log-formats=csv", *PERF)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "waived: bug 7" in ended.stdout
    with open(tmp_path / "output" / "perf_script_test_results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["metric_type"] for row in rows] == [
        "BUILD_TIME", "INFERENCE_TIME", "TOKEN_THROUGHPUT", "SEQ_THROUGHPUT", "KV_CACHE_SIZE",
    ]  # fmt: skip
    assert {(row["state"], row["perf_metric"]) for row in rows} == {("skipped", "")}


@pytest.mark.parametrize(
    ("lines", "words", "said"),
    [
        (["m-bnech-input_len:1"], (), "near: bench"),
        ([ENTRY.replace("tiny_llama", "tiny_lama")], (), "near: tiny_llama"),
        ([f"{ENTRY} TIMOUT (3)"], (), "near: TIMEOUT"),
        ([ENTRY, ENTRY.replace("test_perf[", "test_pref[")], (), f"near: {ENTRY}"),
        ([ENTRY, ENTRY.replace("tiny_llama", "tiny_lama")], ("-C",), f"+ {ENTRY}"),
        ([ENTRY, ENTRY.replace("tiny_llama", "tiny_lama")], ("-C", "-R=tiny_llama"), "correct it as shown above"),
        ([ENTRY, "other.py::test_x"], (), "no test is called other.py::test_x"),
        ([ENTRY], ("--perf-log-formats=xml", "-O", "o"), "--perf-log-formats must be csv"),
        ([ENTRY], ("--replay=nowhere",), "--replay must be a directory"),
        ([ENTRY], ("--waives-file=waives.txt",), "a waiver of a listed test"),
        ([ENTRY], ("--output-dir=list.txt",), "--output-dir"),
        ([], (), "one test a line"),
        ([ENTRY], ("--max-repeats=3",), "give --perf-history DB"),
        ([ENTRY], ("--perf-runtime=ctranslate",), "--perf-runtime must be one of trtllm-engine, ctranslate2"),
        ([ENTRY], ("--perf-runtime=trtllm-llm",), "needs the directory of a model"),
        ([ENTRY], ("--perf-external",), "trtllm-bench, which is not on the PATH"),
        ([ENTRY], ("-R=reqs:44",), "no test of the list has it in its name"),
        ([ENTRY], ("--test-model-suites=zzz",), "no test of the list has it in its name"),
    ],
)
def test_bad_input_is_a_usage_error(tmp_path: Path, lines: list[str], words: tuple[str, ...], said: str) -> None:
    listed(tmp_path, *lines)
    (tmp_path / "waives.txt").write_text("x-bench-input_len:1 SKIP (y)\n")
    ended = run(tmp_path, *words, *PERF)
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"list.txt", "models.yml", "waives.txt"}


def test_tests_of_files_are_filtered_by_the_list_too(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_a():\n    pass\n\ndef test_b():\n    assert False\n")
    listed(tmp_path, "test_own.py::test_a", ENTRY)
    ended = run(tmp_path, "--test-list=list.txt")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed, 1 deselected" in ended.stdout


def test_a_conftest_with_options_of_the_same_names_goes_first(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n"
        "    parser.addoption('--test-list', '-F')\n"
        "    parser.addoption('--perf', action='store_true')\n"
        "    parser.addoption('--regexp', '-R')\n"
    )
    (tmp_path / "test_own.py").write_text(
        "def test_a(request):\n    assert request.config.getoption('--test-list') == 'x'\n"
    )
    for words in ((), ("--perf",)):
        ended = run(tmp_path, "--test-list=x", *words)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_importing_the_plugin_imports_next_to_nothing() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import tokenclock.perftest.plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "['tokenclock', 'tokenclock.perftest', 'tokenclock.perftest.plugin']"


def test_a_regression_names_the_command_that_accepts(tmp_path: Path) -> None:
    listed(tmp_path, LONGER)
    assert run(tmp_path, "--perf-history=first.db", *PERF).returncode == 0
    with open_database(str(tmp_path / "first.db")) as database:
        first = database.run(database.runs()[0].id)
    with open_database(str(tmp_path / "history.db")) as database:
        for i in range(1, 6):  # earlier sessions, all far faster than this machine can be
            quick = {"INFERENCE_TIME": MetricValue(0.01 * (1 + 0.001 * i), None, None, "ms")}
            earlier = first.created - timedelta(hours=i)
            database.add([replace(first, hash=hash_of({"i": i}), created=earlier, metrics=quick, tags={})])
    ended = run(tmp_path, "--perf-history=history.db", "--output-dir=output", *PERF)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "regression: INFERENCE_TIME" in ended.stdout
    found = re.search(r"make these the baseline: (tokenclock baseline accept --history .*)", ended.stdout)
    assert found is not None, ended.stdout
    words = shlex.split(found[1])
    assert words[3:7] == ["--history", "history.db", "--label", first.label]
    assert words[-4:] == ["--last", "3", "--reason", "WHY"]
    assert found[1] in (tmp_path / "output" / "report.md").read_text().splitlines()


def test_the_local_list_runs_here(tmp_path: Path) -> None:
    ended = run(
        tmp_path, "--perf", f"--test-list={LISTS / 'local.txt'}", f"--perf-models={LISTS / 'models.yml'}",
        f"--perf-config-folder={LISTS / 'servers'}", "--output-dir=output", "--perf-history=history.db",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 passed" in ended.stdout
    assert (tmp_path / "history.db").exists()


def test_a_replay_is_gated_like_the_run_and_lies_apart_from_it(tmp_path: Path) -> None:
    listed(tmp_path, LONGER)
    assert run(tmp_path, "--perf-history=history.db", "--output-dir=output", *PERF).returncode == 0
    with open_database(str(tmp_path / "history.db")) as database:
        first = database.run(database.runs()[0].id)
        for i in range(1, 6):
            quick = {"INFERENCE_TIME": MetricValue(0.01 * (1 + 0.001 * i), None, None, "ms")}
            earlier = first.created - timedelta(hours=i)
            database.add([replace(first, hash=hash_of({"i": i}), created=earlier, metrics=quick, tags={})])
        n = len(database.runs())
    replay = ("--replay=output", "--perf-history=history.db")
    ended = run(tmp_path, *replay, "--output-dir=second", "--junitxml=junit.xml", *PERF)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "regression: INFERENCE_TIME" in ended.stdout
    assert "verdict INFERENCE_TIME" in (tmp_path / "junit.xml").read_text()
    assert "regression" in (tmp_path / "second" / "report.md").read_text()
    assert "Against the baseline" in (tmp_path / "second" / "report.html").read_text()
    with open_database(str(tmp_path / "history.db")) as database:
        assert len(database.runs()) == n
        assert database.pins() == []
    for words, said in (
        ((*replay, "--output-dir=output"), "must be apart from each other"),
        ((*replay, "--output-dir=output/new"), "must be apart from each other"),
        ((*replay, "--output-dir=."), "must be apart from each other"),
        (("--replay=output", "--perf-history=none.db"), "--perf-history: "),
        (("--replay=/etc",), "--replay /etc holds no stored run of tiny_llama-bench"),
    ):
        refused = run(tmp_path, *words, *PERF)
        assert refused.returncode == 4, refused.stdout + refused.stderr
        assert said in refused.stderr
    assert not (tmp_path / "none.db").exists()


SHUFFLED = "tiny_llama-reqs:4-bench-pytorch-float32-maxnt:512-maxbs:4-input_output_len:8,4"


@pytest.mark.parametrize("name", [ENTRY, f"H100/{ENTRY}", f"perf/test_perf.py::test_perf[{SHUFFLED}]"])
def test_a_node_id_chooses_its_case(tmp_path: Path, name: str) -> None:
    listed(tmp_path, ENTRY, ENTRY.replace("reqs:4", "reqs:5"), "test_own.py::test_a")
    (tmp_path / "test_own.py").write_text("def test_a():\n    pass\n")
    ended = run(tmp_path, "--collect-only", "-q", "--test-prefix=H100", name, *PERF)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"H100/{ENTRY}\n" in ended.stdout
    assert "1/2 tests collected (1 deselected)" in ended.stdout
    both = run(tmp_path, "--collect-only", "-q", name, "test_own.py", *PERF)
    assert "2/3 tests collected (1 deselected)" in both.stdout, both.stdout + both.stderr


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (ENTRY.replace("reqs:4", "reqs:9"), "no case of the list is called"),
        (ENTRY.replace("bench", "bnech"), "near: bench"),
        ("test_own.py", "got test_own.py: the list has performance tests only"),
    ],
)
def test_another_positional_argument_is_a_usage_error(tmp_path: Path, word: str, said: str) -> None:
    listed(tmp_path, ENTRY)
    (tmp_path / "test_own.py").write_text("def test_a():\n    pass\n")
    ended = run(tmp_path, word, *PERF)
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert said in ended.stderr


SLOW_SERVER = """\
server_configs:
- name: slow
  model_name: slow
  command: "{python} -m tokenclock paced-server --port {port} --ttft-ms 10 --itl-ms 500"
  client_configs:
  - {name: con1, concurrency: 1, iterations: 20, isl: 8, osl: 100}
"""


@pytest.mark.parametrize("timeout", ["", " TIMEOUT (2)"])
def test_a_case_that_is_interrupted_leaves_its_rows(tmp_path: Path, timeout: str) -> None:
    listed(tmp_path, f"perf_sanity-slow{timeout}", ENTRY)
    (tmp_path / "slow.yaml").write_text(SLOW_SERVER)
    (tmp_path / "models.yml").write_text("tiny_llama: tiny:llama\n")
    words = ("-O", "output", "--perf-log-formats=csv", "--perf-config-folder=.", "--perf-history=history.db", *PERF)
    command = [sys.executable, "-m", "pytest", *_WITHOUT, *words, "-s"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "tokenclock serving" in line:
                break
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 2, said
    with open(tmp_path / "output" / "perf_script_test_results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert {row["state"] for row in rows} == {"failed"}
    (record,) = (tmp_path / "output").glob("*/case.json")
    content = json.loads(record.read_text())
    assert (content["state"], content["reason"]) == ("failed", "interrupted")
    report = (tmp_path / "output" / "report.md").read_text()
    assert "1 case: 1 failed" in report
    assert "| interrupted |" in report


def test_a_log_that_is_not_kept_is_shown_and_not_named(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "models.yml").write_text("tiny_llama: model\n")
    listed(tmp_path, ENTRY)
    ended = run(tmp_path, "--perf-runtime=ctranslate2", *PERF)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "its log is not kept (give --output-dir to keep it), and ends:" in ended.stdout
    assert "  tokenclock prepare-dataset: " in ended.stdout
    assert "; log /" not in ended.stdout
    kept = run(tmp_path, "--perf-runtime=ctranslate2", "-O", "output", *PERF)
    assert re.search(r"; log \S+/output/\S+\.log", kept.stdout), kept.stdout


def test_what_a_label_needs_is_looked_for_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "models.yml").write_text("tiny_llama: model\n")
    for entry, said in (
        (ENTRY, "TensorRT-LLM, which is not installed"),
        (ENTRY.replace("-pytorch", ""), "an engine has to be built by trtllm-bench"),
    ):
        listed(tmp_path, entry)
        ended = run(tmp_path, *PERF)
        assert ended.returncode == 4, ended.stdout + ended.stderr
        assert said in ended.stderr
    (tmp_path / "models.yml").write_text("tiny_llama: tiny:lama\n")
    ended = run(tmp_path, *PERF)
    assert ended.returncode == 4
    assert (
        "tiny_llama must be a directory or one of tiny:llama, tiny:bert, tiny:t5, got tiny:lama; near: tiny:llama"
        in (ended.stderr)
    )
