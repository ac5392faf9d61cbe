from __future__ import annotations

import csv
from pathlib import Path

from tokenclock.layers import LayerInfo, LayerTime
from tokenclock.report.layers_csv import layers_path, write_layer_info, write_profile


def rows(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_files_lie_beside_the_result() -> None:
    assert layers_path("out/bert.json", "layer_info") == Path("out/bert.layer_info.csv")
    assert layers_path("m_float16_tp1_cpu.csv", "layer_profile") == Path("m_float16_tp1_cpu.layer_profile.csv")


def test_a_row_per_case_phase_and_layer_that_took_time(tmp_path: Path) -> None:
    layers = [
        LayerTime("mlp", "Linear", "context", 1, 1_500_000),
        LayerTime("drop", "Dropout", "context", 1, 0),
        LayerTime("mlp", "Linear", "generation", 19, 4_750_001),
    ]
    write_profile(tmp_path / "p.csv", [("batch 8, 128 in, 20 out", layers)])
    assert rows(tmp_path / "p.csv") == [
        ["case", "phase", "layer", "kind", "calls", "time(ms)"],
        ["batch 8, 128 in, 20 out", "context", "mlp", "Linear", "1", "1.500000"],
        ["batch 8, 128 in, 20 out", "generation", "mlp", "Linear", "19", "4.750001"],
    ]


def test_a_row_per_layer_and_nothing_where_nothing_is_known(tmp_path: Path) -> None:
    known = LayerInfo("mlp", "Linear", 6, ["weight (2, 2) float32", "bias (2,) float32"], ["x (1, 2)"], ["y"], "t")
    write_layer_info(tmp_path / "i.csv", [known, LayerInfo("naïve,name")])
    assert rows(tmp_path / "i.csv")[1:] == [
        ["mlp", "Linear", "6", "weight (2, 2) float32; bias (2,) float32", "x (1, 2)", "y", "t"],
        ["naïve,name", "", "", "", "", "", ""],
    ]
