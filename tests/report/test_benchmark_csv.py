from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tokenclock.report import benchmark_csv

KEYS = ("model_name", "latency(ms)")


@pytest.mark.parametrize(
    ("model", "size", "cap", "name"),
    [
        ({"name": "llama_7b", "precision": "float16"}, 2, "sm90", "llama-7b_float16_tp2_sm90.csv"),
        ({"name": "a/b c", "precision": "float32"}, 1, None, "a-b-c_float32_tp1_cpu.csv"),
        ({"name": "模型-甲", "precision": "float16"}, 1, None, "模型-甲_float16_tp1_cpu.csv"),
        ({"name": "μ/π,ü", "precision": "float16"}, 1, None, "μ-π-ü_float16_tp1_cpu.csv"),
        ({"name": "型" * 300, "precision": "float16"}, 1, None, "型" * 66 + "_float16_tp1_cpu.csv"),
        ({"name": "../..", "precision": None}, 1, None, "model_None_tp1_cpu.csv"),
    ],
)
def test_file_names(model: dict[str, str], size: int, cap: str | None, name: str) -> None:
    assert benchmark_csv.file_name(model, size, cap) == name


def test_what_was_written_comes_back_also_with_commas_and_quotes(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    head = benchmark_csv.header(KEYS)
    for status, reason in (("measured", None), ("failed", 'a "bad", thing\nhappened')):
        line = benchmark_csv.row({"model_name": "dec", "latency(ms)": 1.5}, {"status": status, "reason": reason}, "now")
        benchmark_csv.append(file, head, line)
    with open(file, newline="") as lines:
        found = list(csv.DictReader(lines))
    assert found == [
        {"model_name": "dec", "latency(ms)": "1.5", "status": "measured", "reason": "", "created": "now"},
        {"model_name": "dec", "latency(ms)": "1.5", "status": "failed", "reason": 'a "bad", thing happened',
         "created": "now"},
    ]  # fmt: skip


def test_the_header_stands_once_also_over_several_runs(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    for _ in range(3):
        benchmark_csv.append(file, "a,b", "1,2")
    assert file.read_text() == "a,b\n1,2\n1,2\n1,2\n"


def test_a_line_left_unended_is_ended_first(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("a,b\n1")
    benchmark_csv.append(file, "a,b", "3,4")
    assert file.read_text() == "a,b\n1\n3,4\n"


def test_a_file_of_other_columns_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("other\n")
    with pytest.raises(ValueError, match="begins with another header"):
        benchmark_csv.append(file, "a,b", "3,4")
    assert file.read_text() == "other\n"
