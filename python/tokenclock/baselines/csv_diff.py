"""Where rows of two CSV files differ by more than their thresholds: the sanity check of the performance-test flow.

A row differs where its change exceeds the relative part, taken of the base, and the absolute part; both, not their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tokenclock.baselines.csv_rows import CsvRow, CsvTable
from tokenclock.baselines.thresholds import TEST_METRICS, Threshold, threshold_of

__all__ = [
    "BETTER",
    "IGNORED",
    "MISSING",
    "NEW",
    "NOT_MEASURED",
    "WORSE",
    "Difference",
    "differences",
    "threshold_in",
    "unit_of",
]

WORSE, BETTER, NEW, MISSING, NOT_MEASURED = "worse", "better", "new", "missing", "not measured"
IGNORED = ("BUILD_TIME",)
"""Metric types whose values are not compared: builds are not what is tested."""


@dataclass(frozen=True)
class Difference:
    """One row that is not as in the base.

    Args:
        kind: ``worse``, ``better``, ``new`` (not in the base), ``missing`` (not in the target) or ``not measured``
            (a value in the base, none in the target: failed, skipped or invalid).
        base, target: the rows; None where there is none.
        threshold: that was exceeded; None of rows that one side lacks.
    """

    kind: str
    base: CsvRow | None
    target: CsvRow | None
    threshold: Threshold | None

    @property
    def row(self) -> CsvRow:
        """The target's, else the base's."""
        row = self.target or self.base
        assert row is not None
        return row

    @property
    def change(self) -> float | None:
        """Relative to the base; None where a value is missing or the base is 0."""
        if self.base is None or self.target is None or not self.base.value or self.target.value is None:
            return None
        return (self.target.value - self.base.value) / abs(self.base.value)


def threshold_in(row: CsvRow, *, own: bool) -> Threshold | None:
    """The threshold of a row of the base.

    Args:
        row: its columns hold what the file says; a negative sign says that higher is better.
        own: ours for its metric type in place of what the file says, where the type is known.

    The direction is that of the metric type where it is known: some files have the sign wrong. None: neither the type
    is known nor a threshold given.
    """
    known = threshold_of(row.cells["metric_type"].strip())
    if own and known is not None:
        return known
    if row.relative is None:
        return known
    given = "higher" if row.relative < 0 else "lower"
    return Threshold(given if known is None else known.better, abs(row.relative), abs(row.absolute or 0.0))


def differences(target: CsvTable, base: CsvTable, *, own: bool) -> list[Difference]:
    """All rows that differ, those of the base first and in its order, then new ones.

    Args:
        own: whether our thresholds stand in for those of the base's columns.
    """
    return [*_of_base(target, base, own), *_new(target, base)]


def _of_base(target: CsvTable, base: CsvTable, own: bool) -> Iterator[Difference]:
    for key, row in base.rows.items():
        fresh = target.rows.get(key)
        if fresh is None:
            yield Difference(MISSING, row, None, None)
        elif row.cells["metric_type"].strip() in IGNORED:
            continue
        elif fresh.value is None:
            if row.value is not None:
                yield Difference(NOT_MEASURED, row, fresh, None)
        elif row.value is None:
            yield Difference(NEW, row, fresh, None)
        else:
            threshold = threshold_in(row, own=own)
            kind = _kind(row.value, fresh.value, threshold)
            if kind is not None:
                yield Difference(kind, row, fresh, threshold)


def _new(target: CsvTable, base: CsvTable) -> Iterator[Difference]:
    yield from (Difference(NEW, None, row, None) for key, row in target.rows.items() if key not in base.rows)


def _kind(base: float, target: float, threshold: Threshold | None) -> str | None:
    """None where the change is within either part; a metric without a threshold may not change at all."""
    change = target - base
    relative, absolute = (0.0, 0.0) if threshold is None else (threshold.relative, threshold.absolute)
    if change == 0 or abs(change) <= relative * abs(base) or abs(change) <= absolute:
        return None
    lower = threshold is None or threshold.better == "lower"
    return WORSE if (change > 0) == lower else BETTER


def unit_of(row: CsvRow) -> str:
    """Of its metric type, empty where that is not known."""
    found = TEST_METRICS.get(row.cells["metric_type"].strip())
    return "" if found is None else found[0]
