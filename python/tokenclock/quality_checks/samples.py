"""Percentiles that their samples cannot support."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import Distribution, RunSummary, samples_needed
from tokenclock.quality_checks.figure import Figure, Value
from tokenclock.verdict import SampleMark

__all__ = ["sample_figures", "sample_marks"]


def sample_marks(summary: RunSummary, facts: RunFacts) -> tuple[SampleMark, ...]:
    """A mark for every percentile asked for that has too few samples."""
    marks = []
    for tag in facts.percentile_metrics:
        found: Distribution = summary.distributions[tag]
        marks += _too_few(tag, found.n, facts.metric_percentiles)
    return tuple(marks)


def _too_few(tag: str, n: int, percentiles: Sequence[float]) -> list[SampleMark]:
    """Marks for the percentiles that n samples cannot support; no samples, no percentile, no mark."""
    return [SampleMark(tag, p, n, samples_needed(p)) for p in percentiles if 0 < n < samples_needed(p)]


def sample_figures(marks: Sequence[SampleMark], facts: RunFacts) -> Iterator[Figure]:
    """How many marks there are, where the user named the percentiles; worded by the one that needs most."""
    if facts.percentiles_named:
        worst = max(marks, key=lambda mark: mark.needed, default=None)
        details: dict[str, Value] = {}
        if worst is not None:
            details = {"worst": f"P{worst.percentile:g} {worst.metric.upper()}", "n": worst.n, "needed": worst.needed}
        yield Figure("samples", len(marks), details)
