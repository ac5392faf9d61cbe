from __future__ import annotations

from typing import Any

import pytest
from tests.offline.rows import rows

from tokenclock.metrics.offline_case import CaseNumbers, case_numbers
from tokenclock.quality import BENCHMARK_THRESHOLDS, Check, Quality
from tokenclock.quality_benchmark import CaseFindings, assess_benchmark, case_warnings

MS = 1_000_000


def steady(n: int = 120, **columns: Any) -> CaseNumbers:
    """Latencies of 10.0 and 10.1 ms in turn."""
    return case_numbers(rows([(0, 10 * MS + (k % 2) * MS // 10, []) for k in range(n)], **columns))


def judged(*cases: CaseFindings, **options: Any) -> Quality:
    return assess_benchmark(list(cases), **{"per_iteration_ns": 200.0, "per_step_ns": 50.0, **options})


def check(quality: Quality, tag: str) -> Check:
    found = quality.check(tag)
    assert found is not None, f"no check {tag}"
    return found


def measured(numbers: CaseNumbers, **values: Any) -> CaseFindings:
    return CaseFindings("a case", "measured", numbers, "minimums", **values)


def test_a_steady_run_is_valid() -> None:
    quality = judged(measured(steady()))
    assert quality.verdict == "VALID"
    assert quality.marks == ()


def test_failures() -> None:
    some = judged(measured(steady()), CaseFindings("b", "failed"), CaseFindings("c", "skipped"))
    assert check(some, "cases_failed").status == "warn"
    assert "50.0% of the cases failed" in check(some, "cases_failed").reason
    none = judged(CaseFindings("b", "failed"))
    assert (none.verdict, check(none, "cases_failed").reason) == ("INVALID", "nothing was measured")
    assert judged(CaseFindings("b", "skipped")).verdict == "INVALID"


def test_a_first_iteration_that_differs_is_a_warning_with_a_remedy() -> None:
    numbers = case_numbers(rows([(0, 13 * MS, []), *[(0, 10 * MS, [])] * 120]))
    found = check(judged(measured(numbers)), "first_iteration")
    assert (found.status, found.value, found.remedy) == ("warn", pytest.approx(0.3), "raise --warm_up")
    faster = case_numbers(rows([(0, 7 * MS, []), *[(0, 10 * MS, [])] * 120]))
    assert check(judged(measured(faster)), "first_iteration").details["value"] == pytest.approx(-0.3)


def test_a_trend_is_a_warning_when_it_is_large_and_no_chance() -> None:
    rising = case_numbers(rows([(0, 10 * MS + k * MS // 100, []) for k in range(120)]))
    assert check(judged(measured(rising)), "drift").status == "warn"
    small = case_numbers(rows([(0, 10 * MS + k * 1000, []) for k in range(120)]))
    assert check(judged(measured(small)), "drift").status == "ok"
    assert judged(measured(steady())).check("drift") is None  # no trend, nothing to judge


def test_overhead_is_held_against_the_shortest_latency() -> None:
    for cost, status in ((50e3, "ok"), (200e3, "warn"), (2e6, "invalid")):
        assert check(judged(measured(steady()), per_iteration_ns=cost), "overhead").status == status
    assert judged(measured(steady()), per_iteration_ns=2e6, is_null=True).check("overhead") is None


def test_stamps_of_steps_cost_too() -> None:
    numbers = case_numbers(rows([(0, 10 * MS, list(range(1, 21)))] * 120))
    assert check(judged(measured(numbers), per_step_ns=1000.0), "stamp_overhead").status == "ok"  # 0.2 %
    assert check(judged(measured(numbers), per_step_ns=10_000.0), "stamp_overhead").status == "warn"  # 2 %


def test_lengths_and_batches() -> None:
    numbers = steady(osl_requested=20, osl_min=[20] * 119 + [3], osl_max=20, n_tokens=20, ran_together=[1] * 119 + [0])
    quality = judged(measured(numbers))
    assert "in 0.8% of the iterations rows generated other lengths" in check(quality, "lengths").reason
    assert check(quality, "together").status == "warn"


def test_too_few_samples_are_marked_and_invalidate_when_named() -> None:
    quality = judged(measured(steady(40)))
    assert [(mark.percentile, mark.n, mark.needed) for mark in quality.marks] == [(99.0, 40, 100)]
    assert quality.verdict == "VALID"
    assert judged(measured(steady(40)), named_percentiles=(99.0,)).verdict == "INVALID"
    assert judged(measured(steady(40)), named_percentiles=(90.0,)).verdict == "VALID"


def test_what_ended_too_early() -> None:
    cut = CaseFindings("a", "measured", steady(), "max_duration", short_of_runs=True)
    quality = judged(cut, CaseFindings("b", "not_run"), incomplete=True)
    assert check(quality, "cut_short").status == "warn"
    assert "1 cases did not end" in check(quality, "complete").reason


def test_the_worst_case_is_named() -> None:
    slow_first = case_numbers(rows([(0, 13 * MS, []), *[(0, 10 * MS, [])] * 120]))
    quality = judged(measured(steady()), CaseFindings("the slow one", "measured", slow_first, "minimums"))
    assert check(quality, "first_iteration").details == {
        "case": "the slow one", "value": pytest.approx(0.3), "n_cases": 1
    }  # fmt: skip


def test_a_case_says_its_own_warnings() -> None:
    costs = {"per_iteration_ns": 200.0, "per_step_ns": 50.0, "is_null": False}
    assert case_warnings(steady(), **costs) == []  # type: ignore[arg-type]
    slow_first = case_numbers(rows([(0, 13 * MS, []), *[(0, 10 * MS, [])] * 120]))
    assert case_warnings(slow_first, **costs) == [  # type: ignore[arg-type]
        "the first timed iteration differs by 30.0% from the rest (above 20.0%): raise --warm_up"
    ]


def test_every_threshold_says_what_to_do() -> None:
    for tag, limit in BENCHMARK_THRESHOLDS.items():
        assert limit.remedy, tag
        assert "{value}" in limit.says, tag
