"""Digits, widths and ``n/a``: what all faces share."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from tokenclock import units

__all__ = [
    "NOT_MEASURED",
    "WIDTH",
    "brief",
    "counted",
    "fixed",
    "fixed_us",
    "heading",
    "own_row",
    "percent",
    "row",
    "rule",
    "spread",
    "wrapped",
]

NOT_MEASURED = "n/a"
WIDTH = 50
_LABEL, _VALUE = 40, 10
_BRIEF = 300


def brief(text: str) -> str:
    """A reason as lines and tables show it: its first 300 characters; the whole stands in the JSON."""
    return text if len(text) <= _BRIEF else text[:_BRIEF] + "..."


def counted(n: int, word: str) -> str:
    """How many of them: ``1 run``, ``2 runs``."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def fixed(value: float | None, decimals: int = 2) -> str:
    """A number with that many decimals, ``n/a`` for None."""
    return NOT_MEASURED if value is None else f"{value:.{decimals}f}"


def fixed_us(value_ns: float | None, decimals: int = 0) -> str:
    """Nanoseconds shown in us."""
    return fixed(None if value_ns is None else units.ns_to_us(value_ns), decimals)


def fixed_ms(value_ns: float | None, decimals: int = 2) -> str:
    """Nanoseconds shown in ms."""
    return fixed(None if value_ns is None else units.ns_to_ms(value_ns), decimals)


def percent(share: float | None) -> str:
    """A share 0..1 shown as a percentage; what is not all (or not nothing) never rounds to it."""
    if share is None:
        return NOT_MEASURED
    text = f"{share:.2%}"
    if text == "100.00%" and share < 1:
        text = "99.99%"
    if text == "0.00%" and share > 0:
        text = "<0.01%"
    return text.replace("%", " %")


def spread(values: Iterable[str]) -> str:
    """Several values of one row: ``12 / 85 / 310``, or one ``n/a`` when there is none."""
    texts = list(values)
    return NOT_MEASURED if all(text == NOT_MEASURED for text in texts) else " / ".join(texts)


def rule(fill: str = "=") -> str:
    """A line across the table."""
    return fill * WIDTH


def heading(title: str, fill: str = "-") -> str:
    """A title centred in a rule."""
    return f"{title:{fill}^{WIDTH}}"


def row(label: str, value: str | int) -> str:
    """One row as the original clients print it: label in 40 columns, value in 10, both to the left."""
    return f"{label:<{_LABEL}} {value:<{_VALUE}}"


def own_row(label: str, value: str | int) -> str:
    """One row of ours: the same columns, and a longer value ends where the table ends."""
    text = str(value)
    if len(text) <= _VALUE and len(label) <= _LABEL:
        return f"{label:<{_LABEL}} {text}"
    return f"{label} {text:>{max(WIDTH - len(label) - 1, 0)}}"


def wrapped(text: str, first: str, rest: str) -> list[str]:
    """Text in lines of the table's width, the first and the other lines with their own indent."""
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
