"""Patches that `patch` and `git apply` themselves apply, and what the base is then."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenclock.baselines.csv_diff import differences
from tokenclock.baselines.csv_patch import patch_of
from tokenclock.baselines.csv_rows import read_csv

pytestmark = pytest.mark.skipif(shutil.which("patch") is None, reason="needs GNU patch: apt install patch")

BASE = [(f"test[{name},128]", "OUTPUT_TOKEN_TIME", 10, 0.1, 50) for name in "abcdefghijkl"]
TARGET = [
    *((f"test[{name},128]", "OUTPUT_TOKEN_TIME", 10 if name != "f" else 12, 0.3, 70) for name in "abcdefghijk"),
    ("test[new,128]", "OUTPUT_TOKEN_TIME", 7, 0.1, 50),
]


def patch_in(folder: Path, base: str, target: str = "target.csv") -> str:
    """The patch, as made in that folder."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        table = read_csv(base)
        return patch_of(table, differences(read_csv(target), table, own=True))
    finally:
        os.chdir(before)


def values(path: Path) -> dict[str, tuple[str, str]]:
    with open(path, newline="") as file:
        return {row["perf_case_name"]: (row["perf_metric"], row["absolute_threshold"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    "command", [["patch", "-p1"], ["patch"], ["git", "apply"], ["git", "apply", "--check", "-v"]], ids=" ".join
)
@pytest.mark.parametrize("last_end", [True, False], ids=["", "no line end"])
def test_it_is_applied(write_csv, tmp_path, command, last_end) -> None:
    base = write_csv("base perf.csv", *BASE, last_end=last_end)
    write_csv("target.csv", *TARGET)
    before = base.read_bytes()
    (tmp_path / "perf.patch").write_text(patch_in(tmp_path, "base perf.csv"))
    with open(tmp_path / "perf.patch") as file:
        done = subprocess.run(command, cwd=tmp_path, stdin=file, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if "--check" in command:
        assert base.read_bytes() == before
        return
    expected = {f"test[{name},128]": ("10", "50") for name in "abcdeghijk"}
    expected |= {"test[f,128]": ("12", "50"), "test[new,128]": ("7", "50")}
    assert values(base) == expected
    untouched = [line for line in before.splitlines(keepends=True) if b"[f," not in line and b"[l," not in line]
    assert base.read_bytes().startswith(b"".join(untouched[:6]))
    assert patch_in(tmp_path, "base perf.csv") == ""


def test_line_ends_and_rows_of_several_lines_stay(write_csv, tmp_path) -> None:
    rows = [("one\r\ntwo", "SEQ_LATENCY", 10, 0.1, 0), ("b", "SEQ_LATENCY", 10, 0.1, 0)]
    base = write_csv("base.csv", *rows, end="\r\n")
    write_csv("target.csv", ("one\r\ntwo", "SEQ_LATENCY", 30, 0.1, 0))
    (tmp_path / "perf.patch").write_bytes(patch_in(tmp_path, "base.csv").encode())
    subprocess.run(["patch", "--binary", "-p1", "-i", "perf.patch"], cwd=tmp_path, check=True, capture_output=True)
    assert base.read_bytes().count(b"\r\n") == base.read_bytes().count(b"\n") == 3
    assert values(base) == {"one\r\ntwo": ("30", "0")}


def test_only_what_is_out_of_tolerance_is_touched(write_csv, tmp_path) -> None:
    write_csv("base.csv", *BASE)
    write_csv("target.csv", *[(case, metric, 10.2, 1, 1) for case, metric, *_ in BASE])
    assert patch_in(tmp_path, "base.csv") == ""


def test_what_was_not_measured_stays(write_csv, tmp_path) -> None:
    write_csv("base.csv", *BASE)
    write_csv("target.csv", *[(case, metric, "", 1, 1, "failed") for case, metric, *_ in BASE])
    assert patch_in(tmp_path, "base.csv") == ""


def test_a_base_elsewhere_is_named_by_its_name(write_csv, tmp_path) -> None:
    write_csv("base.csv", *BASE)
    write_csv("target.csv", *TARGET)
    (tmp_path / "here").mkdir()
    patch = patch_in(tmp_path / "here", "../base.csv", "../target.csv")
    assert patch.startswith("--- a/base.csv\n+++ b/base.csv\n")


ROWS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), min_size=1)


@settings(max_examples=25, deadline=None)
@given(ROWS, ROWS, st.booleans())
def test_patched_is_within_tolerance_of_the_target(tmp_path_factory, base, target, last_end) -> None:
    folder = tmp_path_factory.mktemp("patched")
    for name, rows in (("base.csv", base), ("target.csv", target)):
        lines = ["perf_case_name,metric_type,perf_metric,threshold,absolute_threshold"]
        lines += [f"{case},SEQ_LATENCY,{value},0.1,5" for case, value in rows.items()]
        (folder / name).write_text("\n".join(lines) + ("\n" if last_end else ""))
    patch = patch_in(folder, "base.csv")
    if patch:
        subprocess.run(["patch", "-p1"], cwd=folder, input=patch, text=True, check=True, capture_output=True)
    assert patch_in(folder, "base.csv") == ""
    assert set(values(folder / "base.csv")) == set(target)
