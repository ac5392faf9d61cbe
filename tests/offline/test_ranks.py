"""`tokenclock benchmark` by real launchers: one report, one plan, and no rank that waits for one that is gone."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.parallel.launching import LAUNCHERS, Ended, launch, program

from tokenclock.hdr import HdrHistogram
from tokenclock.report.iteration_columns_file import read as read_columns
from tokenclock.result import Result

FAMILIES = {
    "dec": ("tiny:llama", "--input_output_len", "60,20;128,20"),
    "enc": ("tiny:bert", "--input_len", "20;128"),
    "enc-dec": ("tiny:t5", "--input_output_len", "60,20;128,20"),
}


def benchmark(n: int, *flags: str, launcher: str = "pypi", **options: Any) -> Ended:
    return launch(LAUNCHERS[launcher](), n, ["-m", "tokenclock", "benchmark", *flags], **options)


def offline(how: str, path: Path, n: int = 2, **options: Any) -> Ended:
    return launch(LAUNCHERS["pypi"](), n, program("offline", how, str(path)), **options)


def report_lines(ended: Ended) -> list[str]:
    return [line for line in ended.stdout.splitlines() if line.startswith("[BENCHMARK]")]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_lines_of_users_scripts(family: str, launcher: str, tmp_path: Path) -> None:
    model, lengths_flag, lengths = FAMILIES[family]
    path = tmp_path / "r.json"
    ended = benchmark(
        2, "-m", family, "--engine_dir", model, "--batch_size", "1;8;64", lengths_flag, lengths, "--duration", "0",
        "--num_runs", "3", "--json", str(path), launcher=launcher,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    lines = report_lines(ended)
    assert len(lines) == 6  # one report, whatever the number of ranks
    assert all(" world_size 2 " in line for line in lines)
    result = Result.load(path)
    assert result.ranks is not None
    assert result.ranks["world_size"] == 2
    assert len({(rank["host"], rank["local_rank"]) for rank in result.ranks["of"]}) == 2
    assert sorted(rank["local_rank"] for rank in result.ranks["of"]) == [0, 1]
    assert all(abs(rank["clock_offset_ns"]) <= rank["clock_uncertainty_ns"] for rank in result.ranks["of"])
    assert [case["status"] for case in result.cases] == ["measured"] * 6
    notes = [line for line in ended.stderr.splitlines() if "whole replica" in line]
    assert len(notes) == 1


def test_four_ranks_agree_and_the_slowest_counts(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    ended = offline("slow", path, 4)
    assert ended.returncode == 0, ended.stderr
    result, records = Result.load(path), read_columns(path.with_suffix(".columns.npz"))
    columns = records.columns
    for case in result.cases:
        timed = (columns["case"] == case["index"]) & (columns["phase"] == 1)
        by_rank = [records.latency_ns[timed & (columns["rank"] == rank)] for rank in range(4)]
        assert {len(own) for own in by_rank} == {case["n"]} == {10}  # rank 0 decided for all
        slowest = np.max(by_rank, axis=0)
        assert case["latencies"]["latency"]["mean"] == pytest.approx(slowest.mean())
        assert case["ranks"]["mean_ns"] == pytest.approx([own.mean() for own in by_rank])
        assert sum(case["ranks"]["slowest"]) == 10
        assert case["ranks"]["skew"]["max"] == (slowest - np.min(by_rank, axis=0)).max()
        merged = HdrHistogram.decode(case["ranks"]["histogram"]["hdr"])
        assert merged.total_count == 40
        assert HdrHistogram.decode(case["histogram"]["hdr"]).total_count == 10


def test_a_failure_of_one_rank_fails_its_case_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    ended = offline("raise", path)
    assert ended.returncode == 3, ended.stderr
    cases = Result.load(path).cases
    assert [case["status"] for case in cases] == ["measured", "failed", "measured"]
    assert "rank 1: out of memory" in cases[1]["reason"]
    assert len(re.findall(r"^tokenclock.*out of memory", ended.stderr, re.MULTILINE)) == 1


def test_a_rank_whose_runtime_would_end_the_process_fails_its_case(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    ended = offline("exit", path)
    assert ended.returncode == 3, ended.stderr
    result = Result.load(path)
    assert not result.incomplete
    assert [case["status"] for case in result.cases] == ["measured", "failed", "measured"]
    assert result.cases[1]["reason"].startswith("rank 1: ")


@pytest.mark.parametrize(("how", "words"), [("kill", "signal 9"), ("stuck", "rank 1 failed")])
def test_a_rank_that_is_lost_ends_the_run_and_keeps_what_was_measured(how: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    ended = offline(how, path)
    assert ended.returncode != 0
    assert words in ended.stderr
    assert ended.wall_s < 20  # start of Python and MPI included
    result = Result.load(path)
    assert result.incomplete
    assert [case["status"] for case in result.cases] == ["measured", "not_run", "not_run"]


def test_ranks_that_survive_a_lost_one_end_too(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    ended = offline("kill", path, 3, flags=["--with-ft", "ulfm"])
    assert ended.returncode == 1, ended.stderr
    lines = re.findall(r"^tokenclock.*", ended.stderr, re.MULTILINE)
    assert any(re.search(r"rank 2 on \S+: was lost", line) for line in lines), ended.stderr
    assert [case["status"] for case in Result.load(path).cases] == ["measured", "not_run", "not_run"]


def test_ranks_with_different_plans_are_refused(tmp_path: Path) -> None:
    ended = offline("unequal", tmp_path / "r.json")
    assert ended.returncode == 2
    lines = re.findall(r"^tokenclock.*", ended.stderr, re.MULTILINE)
    assert lines == ["tokenclock benchmark: all ranks must be given the same plan, got another on rank 1; "
                     "see its command line"]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "words"),
    [(["--batch_size", "1;8;"], "--batch_size"), (["--engine_dir", "/nowhere"], "/nowhere")],
)
def test_bad_input_is_said_once(flags: list[str], words: str) -> None:
    ended = benchmark(4, "-m", "dec", "--engine_dir", "tiny:llama", *flags)
    assert ended.returncode == 2
    lines = re.findall(r"^tokenclock.*", ended.stderr, re.MULTILINE)
    assert len(lines) == 1, ended.stderr
    assert words in lines[0]
    assert "rank" not in lines[0]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ctrl_c_keeps_what_was_measured(launcher: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    first_case = path  # written after each case
    ended = benchmark(
        2, "-m", "dec", "--engine_dir", "tiny:llama", "--batch_size", "1;2", "--input_output_len", "8,4",
        "--duration", "2", "--json", str(path), launcher=launcher, interrupt_when=first_case,
    )  # fmt: skip
    assert ended.returncode != 0
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s and not columns_are_there(path):
        time.sleep(0.1)
    result = Result.load(path)
    assert result.incomplete
    assert result.cases[0]["status"] == "measured"
    columns = read_columns(path.with_suffix(".columns.npz")).columns
    second = columns["case"] == 1
    ends = [columns["iteration"][second & (columns["rank"] == rank)].max(initial=-1) for rank in (0, 1)]
    assert ends[0] == ends[1]
    assert json.loads(path.read_text())["tokenclock"]["incomplete"] is True


def columns_are_there(path: Path) -> bool:
    return path.with_suffix(".columns.npz").exists()
