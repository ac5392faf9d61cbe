"""Whether a number got worse: fresh repeats against earlier runs or a pinned baseline. Pure: numbers in, verdict out.

The baseline is the median of the earlier runs. A change is called where it exceeds the relative and the absolute
threshold, and the median of the k fresh repeats lies outside the prediction interval: farther from that of n earlier
runs than chance takes it, given what runs differ by (Student's t with the degrees of freedom of that spread). Repeats
of one session share its mood: they narrow the interval by no more than what they themselves differ by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from tokenclock.baselines.noise import FLOOR, Noise, median_variance, noise_of, pooled
from tokenclock.baselines.reasons import absolute_part, apart, change_text, remedy
from tokenclock.baselines.thresholds import Threshold
from tokenclock.metrics.probability import t_quantile

__all__ = [
    "ALPHA", "FEWEST_RUNS", "IMPROVEMENT", "NO_BASELINE", "NO_DIFFERENCE", "POWER", "REGRESSION", "TOO_NOISY",
    "Decision", "EarlierRun", "PinnedRuns", "decide",
]  # fmt: skip

REGRESSION, IMPROVEMENT, NO_DIFFERENCE = "regression", "improvement", "no difference shown"
TOO_NOISY, NO_BASELINE = "too noisy", "no baseline"

ALPHA = 0.05
POWER = 0.8
FEWEST_RUNS = 3
"""Earlier runs below which nothing is called."""
CONFIRMED_BY = 3
"""Repeats that a regression should be seen in, where repeats may be asked for: a median of three ignores one mishap."""

_TENFOLD = 9.0  # as a change
_FARTHEST = 100.0  # in logs; a spread beyond that is no spread, and its exponential no number


class EarlierRun(Protocol):
    """One run of the history, such as `store.series.Point`."""

    @property
    def value(self) -> float:
        """What was measured."""
        ...


class PinnedRuns(Protocol):
    """A baseline that stays until another is accepted, such as the store's `Pin`."""

    @property
    def values(self) -> tuple[float, ...]:
        """One value a run, in order of time."""
        ...

    @property
    def run_ids(self) -> tuple[int, ...]:
        """The runs."""
        ...

    @property
    def accepted(self) -> datetime:
        """Since when it holds."""
        ...

    @property
    def reason(self) -> str:
        """Why it was set."""
        ...


@dataclass(frozen=True)
class Decision:
    """The verdict on one metric.

    Args:
        metric: its name.
        verdict: ``regression``, ``improvement``, ``no difference shown``, ``too noisy`` or ``no baseline``.
        value, baseline: median of the fresh repeats, and of the earlier runs, in the metric's unit; None: none.
        ratio: value / baseline, with the bounds ``low`` and ``high`` of its prediction interval; None: no baseline.
        reason: one line.
        more_repeats: that would be worth making, to reach the power asked for or to confirm a regression; 0: none.
        n_history: earlier runs.
        smallest_seen: smallest relative change for the worse that would have been called with the power asked for.
        repeats_needed: in all, to see a change of the size asked for; None where no number of repeats would do.
        trend: values of recent sessions in order of time, this one's at the end; empty without earlier ones.
    """

    metric: str
    verdict: str
    value: float | None
    baseline: float | None
    ratio: float | None
    low: float | None
    high: float | None
    reason: str
    more_repeats: int = 0
    n_history: int = 0
    smallest_seen: float | None = None
    repeats_needed: int | None = None
    trend: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Test:
    """Everything but the fresh median: how far chance takes it."""

    noise: Noise
    n: int
    repeats_in_history: float
    within: float | None  # variance of repeats of one session; None: not known
    least: float
    better: str
    alpha: float
    power: float
    of_absolute: str = ""  # the absolute part in words, where it rules

    def error(self, repeats: int) -> float:
        """Standard deviation of the log of fresh / baseline."""
        total = self.noise.sigma**2
        usual = median_variance(self.repeats_in_history)
        all_within = total / usual
        within = all_within if self.within is None else min(self.within, all_within)
        fresh = total + within * (median_variance(repeats) - usual)
        return math.sqrt(total * median_variance(self.n) + fresh)

    def reach(self, repeats: int) -> float:
        """How far from the baseline, in logs, chance takes the fresh median at most."""
        return min(_FARTHEST, t_quantile(1 - self.alpha / 2, self.noise.dof) * self.error(repeats))

    def smallest_seen(self, repeats: int) -> float:
        """Relative change for the worse that is called with the power asked for."""
        if self.better == "lower":
            called = math.log1p(min(self.least, math.exp(_FARTHEST)))
        else:
            called = -math.log1p(-min(self.least, 0.99))
        reach = max(called, self.reach(repeats))
        reach += min(_FARTHEST, t_quantile(max(self.power, 0.5), self.noise.dof) * self.error(repeats))
        return math.expm1(reach) if self.better == "lower" else -math.expm1(-reach)


def decide(
    metric: str,
    fresh: Sequence[float],
    history: Sequence[EarlierRun] | PinnedRuns,
    threshold: Threshold,
    *,
    since: Sequence[EarlierRun] = (),
    repeats_in_history: float = 1.0,
    alpha: float = ALPHA,
    power: float = POWER,
    effect: float | None = None,
    max_repeats: int = 1,
) -> Decision:
    """Hold fresh repeats of one session against earlier runs.

    Args:
        metric: its name, for the texts.
        fresh: one value a repeat, in the unit of the metric.
        history: earlier valid runs in order of time, one value a session (the median of its repeats); or a pin.
        threshold: what a change must exceed, both parts.
        since: with a pin: the runs after those it was made of, whatever their level; they show what runs differ by.
        repeats_in_history: how many repeats are behind a value of the history, on average.
        alpha: chance of a call, either way, where nothing changed. Share it among the metrics of a case.
        power: with which a change of ``effect`` is to be seen.
        effect: relative change; default: twice the smallest that the threshold lets through.
        max_repeats: in all, that may be made.
    """
    pinned = None if isinstance(history, Sequence) else history
    values = (
        [float(run.value) for run in history] if isinstance(history, Sequence) else [float(v) for v in history.values]
    )
    known = [value for value in fresh if math.isfinite(value)]
    value = float(np.median(known)) if known else None
    if value is None:
        return _undecided(metric, None, len(values), "nothing was measured")
    usable = [one for one in values if math.isfinite(one) and one > 0]
    if len(usable) < FEWEST_RUNS:
        return _undecided(metric, value, len(usable), f"{len(usable)} earlier valid runs, and {FEWEST_RUNS} are needed")
    if min(known) <= 0:
        return _undecided(metric, value, len(usable), f"a value of {min(known):g} has no ratio to a baseline")
    baseline = float(np.median(usable))
    test = _Test(
        _noise(usable, [float(run.value) for run in since]), len(usable), max(1.0, repeats_in_history),
        _within(known), threshold.least(baseline), threshold.better, alpha, power,
        absolute_part(threshold, baseline),
    )  # fmt: skip
    return _judged(metric, known, baseline, test, effect, max_repeats, pinned)


def _undecided(metric: str, value: float | None, n: int, reason: str) -> Decision:
    return Decision(metric, NO_BASELINE, value, None, None, None, None, reason, n_history=n)


def _noise(values: Sequence[float], since: Sequence[float]) -> Noise:
    """Of the runs, together with what came since a pin."""
    found = noise_of(np.log(values).tolist())
    later = [one for one in since if math.isfinite(one) and one > 0]
    return found if len(later) < 2 else pooled(found, noise_of(np.log(later).tolist()))


def _within(fresh: Sequence[float]) -> float | None:
    """Variance of the log of one repeat beside its neighbours of the session; None of a single one."""
    return max(FLOOR**2, float(np.log(fresh).var(ddof=1))) if len(fresh) > 1 else None


def _judged(
    metric: str,
    fresh: Sequence[float],
    baseline: float,
    test: _Test,
    effect: float | None,
    max_repeats: int,
    pinned: PinnedRuns | None,
) -> Decision:
    value, repeats = float(np.median(fresh)), len(fresh)
    ratio, reach = value / baseline, test.reach(len(fresh))
    smallest = test.smallest_seen(repeats)
    wanted = 2 * test.least if effect is None else effect
    if test.better == "higher":
        wanted = min(wanted, 0.9)
    needed = _repeats_needed(test, wanted, repeats, max_repeats)
    change = abs(ratio - 1)
    shown = abs(math.log(ratio)) > reach
    more = 0
    if shown and change >= test.least:
        worse = (ratio > 1) == (test.better == "lower")
        verdict = REGRESSION if worse else IMPROVEMENT
        reason = f"{change_text(ratio)}, where runs differ by {test.noise.sigma:.2%}"
        if worse and repeats < CONFIRMED_BY:
            more = max(0, min(CONFIRMED_BY, max_repeats) - repeats)
    elif smallest > wanted:
        verdict = TOO_NOISY
        more = max(0, min(needed, max_repeats) - repeats) if needed is not None else 0
        seen = f"only a change of {smallest:.1%} would have been seen"
        if smallest > _TENFOLD or (test.better == "higher" and smallest > _TENFOLD / (1 + _TENFOLD)):
            seen = "not even a tenfold change would have been seen"
        reason = f"{change_text(ratio)}, but {seen}, as runs differ by {test.noise.sigma:.2%}; "
        reason += remedy(needed, max_repeats, wanted, is_known=test.within is not None)
    elif change >= test.least:
        verdict, reason = (
            NO_DIFFERENCE,
            f"{change_text(ratio)}, as chance makes it: runs differ by {test.noise.sigma:.2%}",
        )
    else:
        verdict, reason = NO_DIFFERENCE, _too_small(ratio, test, shown=shown)
    if pinned is not None:
        reason += f"; baseline pinned {pinned.accepted:%Y-%m-%d} ({pinned.reason})"
    return Decision(
        metric, verdict, value, baseline, ratio, ratio * math.exp(-reach), ratio * math.exp(reach), reason, more,
        test.n, smallest, needed,
    )  # fmt: skip


def _too_small(ratio: float, test: _Test, *, shown: bool) -> str:
    """Of a change below the threshold; one outside the interval is there, and not called all the same."""
    change, least = apart(ratio, test.least)
    if shown:
        below = f"the {least} that {test.of_absolute} is of the baseline" if test.of_absolute else f"{least}"
        return f"a difference, but too small to count: {change} is below {below}"
    return f"{change}, less than the {least} that count" + (f" ({test.of_absolute})" if test.of_absolute else "")


def _repeats_needed(test: _Test, wanted: float, repeats: int, max_repeats: int) -> int | None:
    """The fewest repeats that see a change of that size; None where ten times as many as may be made would not."""
    for n in range(repeats, max(10, 10 * max_repeats) + 1):
        if test.smallest_seen(n) <= wanted:
            return n
    return None
