"""The command as a user types it, in a process of its own, on tiny models."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from tokenclock.iteration_log import read as read_log
from tokenclock.metrics.benchmark_face import benchmark_keys
from tokenclock.report.iteration_columns_file import read as read_columns
from tokenclock.result import Result

SCHEMA = json.loads((Path(__file__).parents[1] / "golden" / "result_schema_1_benchmark.json").read_text())
LINES = {
    "dec": ["--engine_dir", "tiny:llama", "--batch_size", "1;8;64", "--input_output_len", "60,20;128,20"],
    "enc": ["--engine_dir", "tiny:bert", "--batch_size", "1;8", "--input_len", "20;128"],
    "enc-dec": ["--engine_dir", "tiny:t5", "--batch_size", "1;8;64", "--input_output_len", "60,20;128,20"],
}


def run(
    *flags: str, cwd: Path, module: tuple[str, ...] = ("tokenclock", "benchmark")
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *module, *flags], capture_output=True, text=True, timeout=300, cwd=cwd,
        env={**os.environ, "TOKENCLOCK_BENCHMARK_GPU_SAMPLING_INTERVAL": "0"}, check=False,
    )  # fmt: skip


def pairs(line: str) -> dict[str, str]:
    words = line.split(" ")
    assert words[0] == "[BENCHMARK]"
    return dict(zip(words[1::2], words[2::2], strict=True))


@pytest.mark.parametrize("family", LINES)
@pytest.mark.parametrize("module", [("tokenclock", "benchmark"), ("tokenclock.benchmark",)])
def test_the_lines_of_users_scripts(family: str, module: tuple[str, ...], tmp_path: Path) -> None:
    done = run("-m", family, *LINES[family], "--duration", "0", "--num_runs", "3", cwd=tmp_path, module=module)
    assert done.returncode == 0, done.stderr
    lines = [pairs(line) for line in done.stdout.splitlines()]
    assert len(lines) == (4 if family == "enc" else 6)
    for line in lines:
        assert tuple(line) == benchmark_keys(family)
        assert (line["model_name"], line["world_size"], line["precision"]) == (family, "1", "float32")
        assert float(line["latency(ms)"]) > 0
        assert float(line["percentile95(ms)"]) == float(line["percentile99(ms)"]) >= float(line["latency(ms)"])
        assert (line["gpu_peak_mem(gb)"], line["compute_cap"]) == ("n/a", "n/a")
    order = [(line["input_length"], line["batch_size"]) for line in lines]
    batches = ("1", "8") if family == "enc" else ("1", "8", "64")
    assert order == [(n, b) for n in (("20", "128") if family == "enc" else ("60", "128")) for b in batches]
    if family == "dec":
        assert [line["total_generated_tokens"] for line in lines] == ["19.0", "152.0", "1216.0"] * 2
    assert list(tmp_path.iterdir()) == []
    assert "\x1b" not in done.stdout + done.stderr


def test_every_output_tells_the_same(tmp_path: Path) -> None:
    """JSON, its columns, the event log and a second run as CSV, with a case outside the limits and one that is not."""
    flags = ["-m", "enc", "--engine_dir", "tiny:bert", "--batch_size", "2", "--input_len", "20;600", "--duration", "0"]
    done = run(*flags, "--json", "a.json", "--save-events", "events", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [pairs(line) for line in done.stdout.splitlines()]
    assert [line.get("status") for line in lines] == [None, "skipped"]
    assert lines[1]["latency(ms)"] == "n/a"
    assert "maximum_input_length_512" in lines[1]["reason"]
    assert "[WARNING] check batch 2, 600 in: input length 600 is above" in done.stderr
    content = json.loads((tmp_path / "a.json").read_text())
    jsonschema.validate(content["tokenclock"], SCHEMA)
    for line, written in zip(lines, content["benchmark"], strict=True):
        known = {key: ("n/a" if value is None and line[key] == "n/a" else str(value)) for key, value in written.items()
                 if key in line}  # fmt: skip
        assert {key: value for key, value in line.items() if key != "reason"} == {
            key: value for key, value in known.items() if key != "reason"
        }
    result = Result.load(tmp_path / "a.json")
    assert [case["status"] for case in result.cases] == ["measured", "skipped"]
    columns = read_columns(tmp_path / "a.columns.npz")
    assert len(columns) == 12
    assert read_log(tmp_path / "events")[1].latency_ns.tolist() == columns.latency_ns.tolist()
    for _ in range(2):
        table = run(*flags, "--csv", cwd=tmp_path)
        assert table.returncode == 0, table.stderr
    with open(tmp_path / "tiny-bert_float32_tp1_cpu.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["measured", "skipped"] * 2  # the header stands once
    assert list(rows[0])[: len(benchmark_keys("enc"))] == list(benchmark_keys("enc"))
    assert [row["latency(ms)"] for row in rows][1] == "n/a"
    written_lines = (tmp_path / "tiny-bert_float32_tp1_cpu.csv").read_text().splitlines()
    assert table.stdout.splitlines() == [written_lines[0], *written_lines[-2:]]


def test_all_cases_outside_the_limits_is_nothing_measured(tmp_path: Path) -> None:
    done = run("-m", "enc", "--engine_dir", "tiny:bert", "--batch_size", "1", "--input_len", "999", "--duration", "0",
               cwd=tmp_path)  # fmt: skip
    assert done.returncode == 1
    assert "status skipped" in done.stdout


@pytest.mark.parametrize("flags", [("--json", "a.json"), ("--csv",), ()])
def test_a_full_stdout_is_said_once_and_the_sweep_goes_on(tmp_path: Path, flags: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tokenclock", "benchmark", "--runtime", "null", "--engine_dir", "x", *flags,
               "--batch_size", "1;2", "--duration", "0", "--gpu-sampling-interval", "0"]  # fmt: skip
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, cwd=tmp_path, check=False
        )
    assert done.returncode == (0 if flags else 1), done.stderr
    assert done.stderr.count("cannot write to standard output: No space left on device") == 1
    assert "Traceback" not in done.stderr
    if "--json" in flags:
        assert [case["status"] for case in Result.load(tmp_path / "a.json").cases] == ["measured"] * 2
    if "--csv" in flags:
        (file,) = tmp_path.iterdir()
        assert len(file.read_text().splitlines()) == 3


def test_a_directory_that_is_no_engine(tmp_path: Path) -> None:
    done = run("-m", "dec", "--engine_dir", str(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "holds no model that is known by its files" in done.stderr


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenclock", "benchmark", "--engine_dir", "tiny:llama", "--batch_size", "1;2",
         "--input_output_len", "8,4", "--num_runs", "1", "--duration", "600", "--json", "a.json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    deadline_s = time.monotonic() + 60
    while not list(tmp_path.glob(".a.events/part-r0000-000002.npz")):
        assert time.monotonic() < deadline_s, "no part of the event log came"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert stderr.count("SIGINT: stopping, and saving what was measured") == 1
    first, second = (pairs(line) for line in stdout.splitlines())
    assert float(first["latency(ms)"]) > 0
    assert second["status"] == "not_run"
    result = Result.load(tmp_path / "a.json")
    assert result.incomplete
    assert result.cases[0]["run"]["ended_by"] == "interrupt"
    assert result.cases[0]["n"] > 10


def test_a_killed_run_leaves_its_events(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenclock", "benchmark", "--engine_dir", "tiny:llama", "--batch_size", "1",
         "--input_output_len", "8,4", "--duration", "600", "--save-events", "events"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    deadline_s = time.monotonic() + 60
    while not list(tmp_path.glob("events/part-r0000-000002.npz")):
        assert time.monotonic() < deadline_s, "no part of the event log came"
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)
    plan, rows, _, incomplete = read_log(tmp_path / "events")
    assert incomplete
    assert plan["engine_dir"] == "tiny:llama"
    assert len(rows) > 10
    assert rows.columns["iteration"].tolist() == list(range(len(rows)))
    assert set(rows.n_steps.tolist()) == {4}


def test_null_is_the_tools_own_cost(tmp_path: Path) -> None:
    done = run("--engine_dir", "none", "--runtime", "null", "--duration", "0", "--num_runs", "200", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(pairs(done.stdout.strip())["latency(ms)"]) < 5
