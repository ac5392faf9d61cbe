from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokenclock.compare.alike import match
from tokenclock.compare.verdict import BETTER, NO_DIFFERENCE, NOT_ENOUGH, WORSE, judge, rows_of

NAMES = ("a", "b")


def rows(base: list[Any], other: list[Any], min_effect: float = 0.02) -> dict[str, Any]:
    (pair,), _ = match(NAMES, base, other)
    return {row.metric: row for row in judge(rows_of(pair), min_effect)}


@pytest.mark.parametrize(
    ("metric", "other", "verdict"),
    [
        ("ttft.mean", 24e6, WORSE),
        ("ttft.mean", 16e6, BETTER),
        ("output_throughput", 24e6, BETTER),
        ("output_throughput", 16e6, WORSE),
        ("ttft.mean", 20.1e6, NO_DIFFERENCE),
    ],
)
def test_which_side_of_the_definition(make_run: Any, metric: str, other: float, verdict: str) -> None:
    found = rows([make_run({metric: 20e6})], [make_run({metric: other})])[metric]
    assert found.verdict == verdict
    assert found.method == "blocks of time, within-run only"
    assert found.visible == pytest.approx(0.02, abs=0.003)


def test_a_sure_difference_below_the_least_effect_is_none(make_run: Any) -> None:
    base, other = [make_run(share=0.0001)], [make_run({"ttft.mean": 20.3e6}, share=0.0001)]
    assert rows(base, other)["ttft.mean"].verdict == NO_DIFFERENCE
    assert rows(base, other, 0.01)["ttft.mean"].verdict == WORSE


def test_without_an_interval_there_is_no_verdict_but_a_reason(make_run: Any) -> None:
    found = rows([make_run(share=None)], [make_run({"ttft.mean": 90e6})])["ttft.mean"]
    assert (found.verdict, found.found, found.reason) == (NOT_ENOUGH, None, "a hand-made reason")
    assert (found.ratio, found.visible, found.p_corrected) == (pytest.approx(4.5), None, None)


def test_one_lost_run_of_six_leaves_a_verdict_within_the_runs(make_run: Any) -> None:
    found = rows([make_run()] * 5, [make_run({"ttft.mean": 24e6})] * 6)["ttft.mean"]
    assert (found.verdict, found.method) == (WORSE, "blocks of time, within-run only")
    assert (found.n_base, found.n_other) == (5, 6)


def test_runs_too_few_and_too_short_say_what_either_way_needs(make_run: Any) -> None:
    found = rows([make_run(share=None)] * 5, [make_run(share=None)] * 6)["ttft.mean"]
    assert found.verdict == NOT_ENOUGH
    assert found.reason == "a hand-made reason; or count the runs, from 6 of each side on, here 5 and 6"


def test_holm_multiplies_the_smallest_p_by_the_number_of_rows(make_run: Any) -> None:
    values = {"ttft.mean": 20e6, "tpot.mean": 20e6, "itl.mean": 20e6, "e2el.mean": 20e6}
    other = {**values, "ttft.mean": 20.6e6}
    alone = rows([make_run({"ttft.mean": 20e6})], [make_run({"ttft.mean": 20.6e6})])["ttft.mean"]
    among = rows([make_run(values)], [make_run(other)])
    assert among["ttft.mean"].p_corrected == pytest.approx(4 * alone.p_corrected)
    assert among["tpot.mean"].p_corrected == 1.0


def test_from_six_runs_a_side_the_run_is_the_unit(make_run: Any) -> None:
    rng = np.random.default_rng(1)
    levels = 20e6 * np.exp(0.1 * rng.standard_normal(6))
    base = [make_run({"ttft.mean": level}, share=1e-6, created=f"{2 * i:02}") for i, level in enumerate(levels)]
    factors = 1.1 + 0.005 * rng.standard_normal(6)
    other = [
        make_run({"ttft.mean": level * factor}, share=1e-6, created=f"{2 * i + 1:02}")
        for i, (level, factor) in enumerate(zip(levels, factors, strict=True))
    ]
    found = rows(base, other)["ttft.mean"]
    assert (found.method, found.verdict, found.n_base) == ("pairs of runs", WORSE, 6)
    blocked = rows(
        base,
        [make_run(run.estimates and {"ttft.mean": run.estimates["ttft.mean"].value}, created="99") for run in other],
    )
    assert (blocked["ttft.mean"].method, blocked["ttft.mean"].verdict) == ("runs", NO_DIFFERENCE)
    assert rows(base[:5], other[:5])["ttft.mean"].method == "blocks of time, within-run only"
