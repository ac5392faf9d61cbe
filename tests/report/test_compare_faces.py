"""The text forms of one comparison, as they were looked at once: tests/golden holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.compare.hand import hand_run

from tokenclock.compare.comparison import compare
from tokenclock.compare.run import Load
from tokenclock.report import compare_markdown, compare_summary, compare_table

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


@pytest.fixture(scope="module")
def comparison() -> Mapping[str, Any]:
    """Two sides at two loads: one row better, one worse, one without a difference, one without an interval."""
    sides: dict[str, Any] = {"pytorch|hf": [], "trt_engine": []}
    for concurrency in (4, 16):
        values = {"ttft.mean": 20e6 * concurrency / 4, "tpot.p50": 5e6, "itl.p99": 9e6, "output_throughput": 700.0}
        other = {**values, "tpot.p50": 5.5e6, "itl.p99": 9.05e6, "output_throughput": 900.0}
        sides["pytorch|hf"].append(hand_run(values, load=Load(concurrency, float("inf"))))
        sides["trt_engine"].append(hand_run(other, load=Load(concurrency, float("inf"))))
    sides["trt_engine"].append(hand_run(other, share=None, load=Load(64, float("inf")), verdict="INVALID"))
    sides["pytorch|hf"].append(hand_run(values, share=None, load=Load(64, float("inf")), isl=None, osl=None))
    return {**compare(sides), "tool": {"name": "tokenclock", "version": "0"}}


@pytest.mark.parametrize(
    ("name", "render"),
    [
        ("comparison.table.txt", compare_table.render),
        ("comparison.summary.txt", compare_summary.render),
        ("comparison.md", compare_markdown.render),
    ],
)
def test_the_face_is_that_of_the_golden_file(
    comparison: Mapping[str, Any], name: str, render: Callable[[Mapping[str, Any]], str]
) -> None:
    assert render(comparison) == (GOLDEN / name).read_text()


def test_no_line_is_wider_than_a_wide_terminal(comparison: Mapping[str, Any]) -> None:
    table = compare_table.render(comparison).split("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 120
