"""Can an offline measurement be trusted? Its checks, with threshold, value and remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tokenclock.metrics.offline_case import CaseNumbers
from tokenclock.metrics.summary import samples_needed
from tokenclock.quality import BENCHMARK_THRESHOLDS, INVALID, OK, WARN, Check, Quality, SampleMark, Threshold
from tokenclock.quality_checks.figure import Value

__all__ = ["TREND_P", "CaseFindings", "assess_benchmark", "case_warnings"]

TREND_P = 0.01
"""A series counts as drifting below this p-value, given that it also changes by more than its threshold."""


@dataclass(frozen=True)
class CaseFindings:
    """What is judged of one case.

    Args:
        label: such as ``batch 8, 128 in, 20 out``.
        status: ``measured``, ``failed``, ``skipped`` or ``not_run``.
        numbers: None unless measured.
        ended_by: ``minimums``, ``max_duration`` or ``interrupt``; None unless it ran.
        short_of_runs: it ended before --num_runs timed iterations.
    """

    label: str
    status: str
    numbers: CaseNumbers | None = None
    ended_by: str | None = None
    short_of_runs: bool = False


def assess_benchmark(
    cases: Sequence[CaseFindings],
    *,
    per_iteration_ns: float,
    per_step_ns: float,
    named_percentiles: Sequence[float] = (),
    incomplete: bool = False,
    is_null: bool = False,
) -> Quality:
    """Run every check over the cases.

    Args:
        cases: all cases of the plan.
        per_iteration_ns, per_step_ns: what the loop adds to a latency, and each stamp of a step.
        named_percentiles: that the user asked for; too few samples for one invalidate.
        incomplete: the run was interrupted.
        is_null: the runtime is `null`: all there is is overhead, which is no fault.
    """
    checks: list[Check] = []
    if incomplete:
        checks.append(_judge("complete", sum(case.status == "not_run" for case in cases)))
    tried = [case for case in cases if case.status in ("measured", "failed")]
    n_failed = sum(case.status == "failed" for case in tried)
    failures = _judge("cases_failed", n_failed / len(tried) if tried else None, {"n_failed": n_failed})
    measured = [case for case in cases if case.numbers is not None]
    if not measured:
        failures = replace(failures, status=INVALID, reason="nothing was measured")
    checks.append(failures)
    for tag in ("overhead", "stamp_overhead", "drift", "first_iteration", "lengths", "together"):
        found = [
            (value, case.label)
            for case in measured
            if case.numbers is not None
            for value in [_value(tag, case.numbers, per_iteration_ns, per_step_ns)]
            if value is not None
        ]
        if found and not (is_null and tag.endswith("overhead")):
            worst, label = max(found, key=lambda pair: abs(pair[0]))
            n_over = sum(abs(value) > (BENCHMARK_THRESHOLDS[tag].warn or 0) for value, _ in found)
            checks.append(_judge(tag, abs(worst), {"case": label, "value": worst, "n_cases": n_over}))
    cut = sum(case.ended_by == "max_duration" and case.short_of_runs for case in measured)
    checks.append(_judge("cut_short", cut))
    marks = tuple(
        SampleMark(f"latency, {case.label}", percentile, case.numbers.n, samples_needed(percentile))
        for case in measured
        if case.numbers is not None
        for percentile in sorted({95.0, 99.0, *named_percentiles})
        if case.numbers.n < samples_needed(percentile)
    )
    if named_percentiles:
        checks.append(_judge("samples", len({mark.percentile for mark in marks} & set(named_percentiles))))
    return Quality(tuple(checks), marks)


def case_warnings(
    numbers: CaseNumbers, *, per_iteration_ns: float, per_step_ns: float, is_null: bool, cut_at_runs: int | None = None
) -> list[str]:
    """What is to be said of one case by itself: each reason with its remedy.

    cut_at_runs: --num_runs, where --max-duration ended the case before so many were done.
    """
    lines = []
    if cut_at_runs is not None:
        remedy = BENCHMARK_THRESHOLDS["cut_short"].remedy
        lines.append(f"--max-duration ended it after {numbers.n} of {cut_at_runs} runs (--num_runs): {remedy}")
    for tag in ("overhead", "stamp_overhead", "drift", "first_iteration", "lengths", "together"):
        if is_null and tag.endswith("overhead"):
            continue
        value = _value(tag, numbers, per_iteration_ns, per_step_ns)
        check = _judge(tag, None if value is None else abs(value))
        if check.status != OK:
            lines.append(f"{check.reason}: {check.remedy}")
    return lines


def _value(tag: str, numbers: CaseNumbers, per_iteration_ns: float, per_step_ns: float) -> float | None:
    """The figure judged: shares; drift and first iteration with their sign."""
    drift, lengths = numbers.drift, numbers.lengths
    shortest_ns = numbers.series["latency"].distribution.minimum or 1.0
    if tag == "overhead":
        return per_iteration_ns / shortest_ns
    if tag == "stamp_overhead":
        steps = numbers.steps_per_iteration
        return None if steps is None else steps * per_step_ns / shortest_ns
    if tag == "drift":
        return drift.change if drift.p_value is not None and drift.p_value < TREND_P else None
    if tag == "first_iteration":
        return drift.first_excess
    if tag == "lengths":
        return lengths.n_iterations_off / numbers.n if lengths.tokens_per_iteration is not None else None
    return None if numbers.n_not_together is None else numbers.n_not_together / numbers.n


def _judge(tag: str, value: float | None, details: dict[str, Value] | None = None) -> Check:
    limit = BENCHMARK_THRESHOLDS[tag]
    for status, bound in _steps(limit):
        if value is not None and value > bound:
            reason = limit.says.format(value=limit.shown.format(value), limit=limit.shown.format(bound))
            return Check(tag, status, value, bound, details or {}, reason, limit.remedy)
    return Check(tag, OK, value, limit.warn, details or {})


def _steps(limit: Threshold) -> Iterator[tuple[str, float]]:
    if limit.invalid is not None:
        yield INVALID, limit.invalid
    if limit.warn is not None:
        yield WARN, limit.warn
