"""`compare:` becomes a command over the folders that hold results."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenclock.cli import sweep as cli
from tokenclock.sweep.comparison import compare_words, run_compare
from tokenclock.sweep.index import DONE, Index
from tokenclock.sweep.plan import build_plan

Write = Callable[..., Path]
SERVERS = [{"name": name, "url": f"http://h:{n}"} for n, name in enumerate("abc", 1)]


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 3), (1, 3)])
def test_words_and_exit_code(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: int
) -> None:
    asked = {"png": "p.png", "html": str(tmp_path / "x/page.html"), "json": "c.json", "fail_if": ["tpot.p99 > +5%"]}
    plan = build_plan(str(write(servers=SERVERS, compare=asked)), {}, cli._commands())
    out = tmp_path / "out"
    index = Index(out, {}, {})
    for point in plan.points:
        index.add(point).status = DONE if point.variant.folder != "c" else "failed"
    assert compare_words(plan, index) == [
        "compare", f"{out}/a", f"{out}/b", "--summary", f"{out}/benchmark_summary.txt", "--png", f"{out}/p.png",
        "--html", f"{tmp_path}/x/page.html", "--json", f"{out}/c.json", "--fail-if", "tpot.p99 > +5%",
    ]  # fmt: skip
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert run_compare(plan, index) == expected
    index.close()
    assert json.loads((out / "index.json").read_text())["compare"]["exit_code"] == code


def test_true_is_all_defaults_and_false_is_nothing(write: Write) -> None:
    plan = build_plan(str(write(servers=SERVERS, compare=True)), {}, cli._commands())
    assert plan.sweep.compare is not None
    assert plan.sweep.compare.png == "benchmark_comparison.png"
    assert build_plan(str(write(servers=SERVERS, compare=False)), {}, cli._commands()).sweep.compare is None
