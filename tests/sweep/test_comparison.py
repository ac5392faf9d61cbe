"""`compare:` becomes a command over the folders that hold results."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.sweep.files import benchmark

from tokenclock.cli import sweep as cli
from tokenclock.errors import UsageError
from tokenclock.sweep.comparison import check_compare, compare_words, run_compare, too_short
from tokenclock.sweep.index import DONE, Index
from tokenclock.sweep.plan import SweepPlan, build_plan
from tokenclock.sweep.whole import dry_run

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


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        ({"png": "/nowhere/at/all.png"}, "compare.png must name a file that can be written, got /nowhere/at/all.png"),
        ({"html": "x.html", "json": "x.html"}, "is what compare.html writes too"),
    ],
)
def test_places_are_tried_before_anything_starts(write: Write, compare: dict[str, str], message: str) -> None:
    plan = build_plan(str(write(servers=SERVERS, compare=compare)), {}, cli._commands())
    with pytest.raises(UsageError, match=message) as caught:
        check_compare(plan)
    assert str(caught.value).startswith(f"{plan.file.name}:")


def plan_of(write: Write, *, factor: int = 5, servers: Sequence[Mapping[str, str]] = SERVERS, **keys: Any) -> SweepPlan:
    flags = {**benchmark(), "prompts_per_concurrency": factor}
    return build_plan(str(write(servers=servers, benchmark=flags, **keys)), {}, cli._commands())


def test_points_too_short_for_a_verdict_are_told(write: Write) -> None:
    said = too_short(plan_of(write, repeat=2))
    assert said.startswith(
        "tokenclock compare of these results would say `not enough data` of concurrency_1 and 1 more: about 5 answers"
    )
    assert "prompts_per_concurrency: 24, or repeat: 6" in said
    assert too_short(plan_of(write, factor=19)) != ""


@pytest.mark.parametrize(
    "keys", [{"factor": 20}, {"repeat": 6}, {"servers": SERVERS[:1]}, {"matrix": {"concurrency": [1]}, "factor": 24}]
)
def test_long_enough_or_not_compared(write: Write, keys: dict[str, Any]) -> None:
    assert too_short(plan_of(write, **keys)) == ""


def test_the_dry_run_says_it(write: Write) -> None:
    file = write(servers=SERVERS, compare=True)
    assert "\nwarning: compare will say `not enough data` of" in dry_run(str(file), {}, cli._commands(), resume=False)
