"""Rewrites the tables of docs/metrics.md from the code that computes the numbers: `python docs/make_tables.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tokenclock.metrics.definitions import DEFINITIONS, Definition
from tokenclock.metrics.offline_definitions import OFFLINE_DEFINITIONS
from tokenclock.quality import BENCHMARK_THRESHOLDS, THRESHOLDS, Threshold

PAGE = Path(__file__).parent / "metrics.md"


def definitions_table(definitions: Mapping[str, Definition]) -> str:
    """One row per metric."""
    rows = ["| key | name | stored in | one value per | how |", "|---|---|---|---|---|"]
    rows += [f"| `{d.tag}` | {d.title} | {d.unit} | {d.per} | {d.formula} |" for d in definitions.values()]
    return "\n".join(rows)


def _limit(value: float | None, shown: str) -> str:
    if value is None:
        return "never"
    for unit, divisor in ((":ms}", 1e6), (":us}", 1e3)):
        if unit in shown:
            return f"{value / divisor:g} {unit[1:3]}"
    return f"{value:.0%}" if "%" in shown else f"{value:g}"


def thresholds_table(thresholds: Mapping[str, Threshold]) -> str:
    """One row per check of the quality block."""
    rows = ["| check | warns | invalidates | remedy |", "|---|---|---|---|"]
    for tag, t in thresholds.items():
        limits = [_limit(value, t.shown) for value in (t.warn, t.invalid)]
        beyond = [limit if limit == "never" else f"{t.worse} {limit}" for limit in limits]
        if tag == "failures":
            beyond[1] = f"{t.worse} `--max-failure-share` (0 % unless given)"
        rows.append(f"| `{tag}` | {beyond[0]} | {beyond[1]} | {t.remedy} |")
    return "\n".join(rows)


def render(page: str) -> str:
    """The page with the text between its markers made anew."""
    tables = {
        "definitions": definitions_table(DEFINITIONS),
        "thresholds": thresholds_table(THRESHOLDS),
        "offline definitions": definitions_table(OFFLINE_DEFINITIONS),
        "offline thresholds": thresholds_table(BENCHMARK_THRESHOLDS),
    }
    for name, table in tables.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page, n = re.subn(pattern, lambda m, table=table: f"{m[1]}{table}\n{m[2]}", page, flags=re.DOTALL)
        assert n == 1, f"docs/metrics.md has no place for {name}"
    return page


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
