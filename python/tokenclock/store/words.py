"""Numbers and runs as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from tokenclock import units
from tokenclock.compare.run import Load
from tokenclock.store.record import RunRow

__all__ = ["column_name", "load_words", "shown_number", "shown_unit", "sparkline", "table"]

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.-=+*#@"
_SUFFIXES = {"ns": "_ns", "1/s": "_per_s", "1/J": "_per_j", "": ""}


def shown_unit(unit: str) -> str:
    """The unit that `shown_number` shows values of `unit` in."""
    return "ms" if unit == "ns" else unit


def shown_number(value: float | None, unit: str) -> str:
    """A value with five significant digits, ns as ms; ``n/a`` for None."""
    if value is None:
        return "n/a"
    value = units.ns_to_ms(value) if unit == "ns" else value
    if value != 0 and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.4g}"
    decimals = 2 if value == 0 else max(0, min(6, 4 - math.floor(math.log10(abs(value)))))
    return f"{value:.{decimals}f}"


def column_name(metric: str, unit: str) -> str:
    """A metric's column in an export, which ends in its unit: ``ttft.mean_ns``, ``output_throughput_per_s``."""
    return metric + _SUFFIXES.get(unit, "_" + "".join(c if c.isalnum() else "_" for c in unit.lower()))


def load_words(run: RunRow) -> str:
    """What the server or the runtime had to bear, in few letters."""
    load = Load(run.concurrency, run.request_rate, run.batch_size)
    words = [] if load == Load() else [str(load)]
    if run.isl is not None and run.osl is not None:
        words.append(f"{run.isl:.0f}+{run.osl:.0f} tokens")
    return ", ".join(words)


def sparkline(values: Sequence[float], width: int = 60, *, plain: bool = False) -> str:
    """One character a value, low to high; of more than `width` values the means of neighbours. Empty for none.

    Args:
        values: finite, in order of time.
        width: characters at most.
        plain: only characters of ASCII.
    """
    n = len(values)
    if n > width:
        edges = [i * n // width for i in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    if not values:
        return ""
    bars = _PLAIN if plain else _BARS
    low, high = min(values), max(values)
    if high == low:
        return bars[3] * len(values)
    return "".join(bars[min(7, int((value - low) / (high - low) * 8))] for value in values)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Columns two spaces apart; a column in which nothing stands is left out.

    Args:
        heads: of each column.
        rows: texts.
        right: numbers of the columns that stand at the right.
    """
    kept = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    widths = {i: max(len(heads[i]), *(len(row[i]) for row in rows)) for i in kept}
    lines = [
        "  ".join(row[i].rjust(widths[i]) if i in right else row[i].ljust(widths[i]) for i in kept).rstrip()
        for row in (heads, *rows)
    ]
    return "\n".join(lines)
