"""Colours that all eyes tell apart (Okabe and Ito), with a mark of its own for each."""

from __future__ import annotations

__all__ = ["COLOURS", "MARKERS", "colour"]

COLOURS: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P", "X")
"""Of matplotlib, in the same order: two sides differ in print too."""


def colour(index: int) -> str:
    """Of the side with that place; after the last they begin again."""
    return COLOURS[index % len(COLOURS)]
