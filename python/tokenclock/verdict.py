"""What is said of a measurement's quality: checks with their status, percentiles with too few samples, one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

__all__ = ["INVALID", "OK", "WARN", "Check", "Quality", "SampleMark"]

OK, WARN, INVALID = "ok", "warn", "invalid"
VERDICTS = {OK: "VALID", WARN: "VALID with warnings", INVALID: "INVALID"}
_SEVERITY = (OK, WARN, INVALID)

Value: TypeAlias = float | int | str | None


@dataclass(frozen=True)
class Check:
    """One check: its status, the figure judged against its threshold, and whatever else there is to show.

    Args:
        tag: key in ``quality.THRESHOLDS``.
        status: ``ok``, ``warn`` or ``invalid``.
        value: the figure judged; None = there was nothing to judge.
        threshold: the limit passed, else the next one ahead.
        details: more figures, instants and lags in ns (``_ns``), shares 0..1.
        reason: why the status is not ok, else empty.
        remedy: what to do about it, else empty.
    """

    tag: str
    status: str
    value: float | None
    threshold: float | None
    details: Mapping[str, Value]
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class SampleMark:
    """A percentile that its samples cannot support."""

    metric: str
    percentile: float
    n: int
    needed: int


@dataclass(frozen=True)
class Quality:
    """All checks of a run, the percentiles with too few samples, and the verdict."""

    checks: tuple[Check, ...]
    marks: tuple[SampleMark, ...]

    @property
    def status(self) -> str:
        """The worst status of all checks."""
        return max((check.status for check in self.checks), key=_SEVERITY.index, default=OK)

    @property
    def verdict(self) -> str:
        """``VALID``, ``VALID with warnings`` or ``INVALID``."""
        return VERDICTS[self.status]

    @property
    def findings(self) -> tuple[Check, ...]:
        """Checks that are not ok, the worst first."""
        found = [check for check in self.checks if check.status != OK]
        return tuple(sorted(found, key=lambda check: -_SEVERITY.index(check.status)))

    def check(self, tag: str) -> Check | None:
        """The check of that tag, None where it did not apply."""
        return next((check for check in self.checks if check.tag == tag), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, verdict first."""
        return {
            "verdict": self.verdict,
            "checks": [{**asdict(check), "details": dict(check.details)} for check in self.checks],
            "too_few_samples": [asdict(mark) for mark in self.marks],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Quality:
        """From what ``to_dict`` gave; the verdict is taken from the checks."""
        return cls(
            tuple(Check(**check) for check in data["checks"]),
            tuple(SampleMark(**mark) for mark in data["too_few_samples"]),
        )
