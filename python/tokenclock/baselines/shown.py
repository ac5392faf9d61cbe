"""Baselines as they stand: of each metric of each key what a run would be held against, and how the last one did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tokenclock.baselines.accept import gated_metrics, judged_on
from tokenclock.baselines.decide import ALPHA, Decision
from tokenclock.baselines.held import hold
from tokenclock.baselines.history import LAST, RECENT, pin_of, sessions_in
from tokenclock.baselines.thresholds import Threshold, shared_alpha, threshold_of
from tokenclock.report.compare_table import columns

if TYPE_CHECKING:
    from tokenclock.store.database import Database
    from tokenclock.store.record import Pin

__all__ = ["Standing", "as_json", "render", "standings"]


@dataclass(frozen=True)
class Standing:
    """One metric of one key.

    Args:
        key, metric: which.
        threshold: what a change must exceed, in the metric's unit.
        pin: None where the last sessions are the baseline.
        latest: the decision on the last session.
    """

    key: Mapping[str, str]
    metric: str
    threshold: Threshold
    pin: Pin | None
    latest: Decision


def standings(
    database: Database, keys: Iterable[Mapping[str, str]], metrics: Sequence[str] = (), *, last: int = LAST
) -> list[Standing]:
    """How each metric of each key stands: the last session, with all its repeats, judged as the gate judges it.

    Args:
        metrics: names; none given: those that runs of the key are judged on. All that its run was judged on share the
            false alarms, whichever are shown.
    """
    found = []
    of_run: dict[int, list[str]] = {}
    for key in keys:
        for metric in metrics or gated_metrics(database, key):
            threshold = threshold_of(metric)
            sessions = sessions_in(database, key, metric, last=RECENT + 1)
            if threshold is None or not sessions:
                continue
            pin = pin_of(database, key, metric)
            latest, run = sessions[-1], sessions[-1].run_ids[0]
            if run not in of_run:
                of_run[run] = judged_on(list(database.metrics(run)))
            judged = [name for name in of_run[run] if threshold_of(name) is not None]
            alpha = shared_alpha(list(dict.fromkeys([*judged, metric])), ALPHA)
            decision = hold(metric, latest.values, sessions[:-1], pin, threshold, alpha=alpha, last=last)
            found.append(Standing(key, metric, threshold, pin, decision))
    return found


def render(found: Sequence[Standing]) -> str:
    """A table for each key."""
    lines: list[str] = []
    by_key: dict[tuple[tuple[str, str], ...], list[Standing]] = {}
    for one in found:
        by_key.setdefault(tuple(one.key.items()), []).append(one)
    head = ("metric", "baseline", "latest", "change", "verdict", "seen from", "counts from", "runs", "baseline of")
    for key, rows in by_key.items():
        lines += [", ".join(f"{name} {text}" for name, text in key if text)]
        lines += [f"  {line}" for line in columns([head, *map(_cells, rows)], (0, 4, 8))]
        lines.append("")
    return "\n".join(
        [*lines, "seen from: the smallest change for the worse that one run would have shown with a chance of 80 %."]
    )


def _cells(one: Standing) -> tuple[str, ...]:
    found, pin = one.latest, one.pin
    of = f"the last {found.n_history} runs"
    if pin is not None:
        of = f"{pin.accepted:%Y-%m-%d}, {pin.by or 'n/a'}: {pin.reason}"
    least = "n/a" if found.baseline is None else f"{one.threshold.least(found.baseline) * 100:.1f} %"
    return (
        one.metric, _number(found.baseline), _number(found.value),
        "n/a" if found.ratio is None else f"{(found.ratio - 1) * 100:+.1f} %", found.verdict,
        "n/a" if found.smallest_seen is None else f"{found.smallest_seen * 100:.1f} %", least,
        str(found.n_history), " ".join(of.split()),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.6g}"


def as_json(found: Sequence[Standing]) -> dict[str, Any]:
    """The same with exact numbers, in the metrics' units."""
    return {
        "schema": "tokenclock.baselines/1",
        "baselines": [
            {
                "key": dict(one.key),
                "metric": one.metric,
                "threshold": {name: getattr(one.threshold, name) for name in ("better", "relative", "absolute")},
                "pin": None
                if one.pin is None
                else {
                    "values": list(one.pin.values),
                    "run_ids": list(one.pin.run_ids),
                    "accepted": one.pin.accepted.isoformat(),
                    "reason": one.pin.reason,
                    "by": one.pin.by,
                },
                "latest": asdict(one.latest),
            }
            for one in found
        ],
    }
