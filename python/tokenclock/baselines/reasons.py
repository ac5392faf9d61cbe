"""The words of a decision's reason: changes, thresholds, and what would help."""

from __future__ import annotations

from tokenclock.baselines.thresholds import Threshold

__all__ = ["absolute_part", "apart", "change_text", "remedy"]


def apart(ratio: float, least: float) -> tuple[str, str]:
    """A change and the least that counts, with as many digits as tell them apart."""
    change = ratio - 1
    for digits in range(1, 7):
        texts = f"{abs(change):.{digits}%}", f"{least:.{digits}%}"
        if texts[0] != texts[1]:
            break
    return f"{'+' if change >= 0 else '-'}{texts[0]}", texts[1]


def absolute_part(threshold: Threshold, baseline: float) -> str:
    """Such as ``1 ms``, where that is more of the baseline than the relative part; empty where it is not."""
    if threshold.least(baseline) <= threshold.relative:
        return ""
    unit = f" {threshold.unit}" if threshold.unit else ""
    return f"{threshold.absolute * threshold.shown_per_unit:g}{unit}"


def remedy(needed: int | None, max_repeats: int, wanted: float, *, is_known: bool) -> str:
    """What would help to see a change of that size; `is_known`: what repeats of one session differ by."""
    if needed is None:
        return "repeats alone do not help: more earlier runs, or a quieter machine, would"
    text = f"{needed} repeats would show one of {wanted:.1%}"
    if not is_known:
        text += " if they differ as much as sessions do"
    if needed > max_repeats:
        text += f" ({max_repeats} {'is' if max_repeats == 1 else 'are'} allowed)"
    return text


def change_text(ratio: float) -> str:
    """Of value / baseline, signed, with one digit."""
    change = ratio - 1
    return f"{'+' if change >= 0 else '-'}{abs(change):.1%}"
