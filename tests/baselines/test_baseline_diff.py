"""`tokenclock baseline diff`: what is printed and written, exit codes, wrong words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tokenclock.__main__ import main

BASE = [("tpot", "OUTPUT_TOKEN_TIME", 10, 0.1, 50), ("rate", "USER_THROUGHPUT", 100, 0.1, 10)]


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs GNU patch: apt install patch")
def test_worse_is_exit_3_and_the_patch_accepts_it(write_csv, inside, capsys) -> None:
    write_csv("base.csv", *BASE)
    write_csv("target.csv", ("tpot", "OUTPUT_TOKEN_TIME", 12, 0.1, 50), ("rate", "USER_THROUGHPUT", 80, 0.1, 10))
    words = ["baseline", "diff", "target.csv", "base.csv", "--json", "found.json"]
    assert main(words) == 3
    shown = capsys.readouterr()
    assert "worse  OUTPUT_TOKEN_TIME" in shown.out
    assert "+20.0 %" in shown.out
    assert "2 of 2 rows of base.csv: worse" in shown.err
    found = json.loads(Path("found.json").read_text())
    assert [(one["kind"], one["base"], one["target"], one["better"]) for one in found["differences"]] == [
        ("worse", 10, 12, "lower"),
        ("worse", 100, 80, "higher"),
    ]
    told = next(line for line in shown.err.splitlines() if "to accept: " in line)
    subprocess.run(told.partition("to accept: ")[2], shell=True, check=True, capture_output=True)
    assert main(words) == 0
    assert Path("perf_patch.patch").read_bytes() == b""


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs GNU patch: apt install patch")
def test_a_base_elsewhere_is_patched_by_the_command_that_is_told(write_csv, inside, capsys, monkeypatch) -> None:
    write_csv("base.csv", *BASE)
    write_csv("target.csv", ("tpot", "OUTPUT_TOKEN_TIME", 12, 0.1, 50), BASE[1])
    (inside / "a b").mkdir()
    monkeypatch.chdir(inside / "a b")
    assert main(["baseline", "diff", "../target.csv", "../base.csv", "--patch", "my patch"]) == 3
    told = next(line for line in capsys.readouterr().err.splitlines() if "to accept: " in line)
    subprocess.run(told.partition("to accept: ")[2], shell=True, check=True, capture_output=True)
    assert main(["baseline", "diff", "../target.csv", "../base.csv", "--patch", "my patch"]) == 0


def test_thresholds_of_the_file(write_csv, inside, capsys) -> None:
    write_csv("base.csv", *BASE)
    write_csv("target.csv", ("tpot", "OUTPUT_TOKEN_TIME", 12, 0.1, 50), BASE[1])
    assert main(["baseline", "diff", "target.csv", "base.csv", "--thresholds", "file"]) == 0
    assert "no difference" in capsys.readouterr().out
    assert not Path("perf_patch.patch").exists()


@pytest.mark.parametrize(
    ("row", "code", "strict"),
    [
        (("tpot", "OUTPUT_TOKEN_TIME", 8, 0.1, 50), 0, 3),
        (("tpot", "OUTPUT_TOKEN_TIME", 10.1, 0.1, 50), 0, 0),
        (("tpot", "OUTPUT_TOKEN_TIME", "", 0.1, 50, "failed"), 3, 3),
        (("tpot", "OUTPUT_TOKEN_TIME", 10, 0.1, 50, "invalid"), 3, 3),
        (("other", "OUTPUT_TOKEN_TIME", 10, 0.1, 50), 0, 3),
    ],
)
def test_exit_codes(write_csv, inside, row, code, strict) -> None:
    write_csv("base.csv", *BASE)
    write_csv("target.csv", row, BASE[1])
    assert main(["baseline", "diff", "target.csv", "base.csv"]) == code
    assert main(["baseline", "diff", "target.csv", "base.csv", "--strict"]) == strict


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["target.csv"], "BASE.csv"),
        (["none.csv", "base.csv"], "cannot read none.csv"),
        (["target.csv", "twice.csv"], "line 3: has tpot a second time; keep one of them"),
        (["target.csv", "base.csv", "--patch", "base.csv"], "must be different files"),
        (["target.csv", "base.csv", "--json", "no/where.json"], "there is no directory no"),
        (["target.csv", "base.csv", "--thresholds", "none"], "--thresholds"),
        (["target.csv", "bad.csv"], "bad.csv, line 2: perf_metric must be a number, got 'x'"),
    ],
)
def test_wrong_words_write_nothing(write_csv, inside, capsys, words, said) -> None:
    write_csv("base.csv", *BASE)
    write_csv("target.csv", *BASE)
    write_csv("twice.csv", BASE[0], BASE[0])
    write_csv("bad.csv", ("tpot", "OUTPUT_TOKEN_TIME", "x", 0.1, 50))
    before = set(os.listdir())
    assert main(["baseline", "diff", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert set(os.listdir()) == before


def test_a_patch_that_cannot_be_written_is_refused_before_the_files_are_read(capsys) -> None:
    assert main(["baseline", "diff", "none.csv", "nobody.csv", "--patch", "/dev/full"]) == 2
    said = capsys.readouterr().err
    assert "--patch" in said
    assert "/dev/full" in said
    assert "none.csv" not in said
