"""What a run is held against: the last sessions, or the pin that stands in for them until another is accepted."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from tokenclock.baselines.decide import ALPHA, POWER, Decision, PinnedRuns, decide
from tokenclock.baselines.history import LAST, RECENT, Session
from tokenclock.baselines.thresholds import Threshold

__all__ = ["hold"]


def hold(
    metric: str,
    fresh: Sequence[float],
    sessions: Sequence[Session],
    pin: PinnedRuns | None,
    threshold: Threshold,
    *,
    alpha: float = ALPHA,
    power: float = POWER,
    max_repeats: int = 1,
    last: int = LAST,
) -> Decision:
    """Decide on one metric of a run.

    Args:
        fresh: its repeats.
        sessions: earlier ones, in order of time; beside a pin those after it show what runs differ by.
        pin: the baseline where there is one; else the last ``last`` sessions are.
        alpha, power, max_repeats: see ``decide``.
    """
    if not sessions:
        return decide(metric, fresh, (), threshold)
    recent = sessions[-RECENT:]
    decision = decide(
        metric, fresh, sessions[-last:] if pin is None else pin, threshold,
        since=() if pin is None else _since(pin, recent),
        repeats_in_history=statistics.fmean(session.repeats for session in recent),
        alpha=alpha, power=power, max_repeats=max_repeats,
    )  # fmt: skip
    now = () if decision.value is None else (decision.value,)
    return dataclasses.replace(decision, trend=(*(session.value for session in recent), *now))


def _since(pin: PinnedRuns, sessions: Sequence[Session]) -> Sequence[Session]:
    """The sessions after the last one that the pin was made of."""
    pinned = set(pin.run_ids)
    last = max((i for i, session in enumerate(sessions) if pinned & set(session.run_ids)), default=-1)
    return sessions[last + 1 :]
