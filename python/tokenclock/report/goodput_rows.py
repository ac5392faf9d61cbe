"""The rows that say how many requests kept the limits the user named, and how sure that share is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokenclock.report.format import own_row, percent

__all__ = ["goodput_rows"]


def goodput_rows(goodput: Mapping[str, Any], n_scheduled: int) -> Iterator[str]:
    """The share of all scheduled requests within every limit, its interval, and each limit's own share.

    Args:
        goodput: of a result; files of schema 1.0 have no intervals.
        n_scheduled: requests of the run, failures included.
    """
    yield own_row("Requests within every limit:", percent(goodput["share"]))
    if goodput["n_good"] is not None:
        yield own_row("  of all scheduled:", f"{goodput['n_good']} of {n_scheduled}")
    interval = goodput.get("interval_95")
    if interval is not None:
        yield own_row("  95 % interval (Wilson):", f"{percent(interval[0])} to {percent(interval[1])}")
    for tag, found in goodput.get("attainment", {}).items():
        yield own_row(f"  within {tag.upper()} {goodput['slos_ms'][tag]:g} ms:", percent(found["share"]))
    if goodput["n_exempt_tpot"]:
        yield own_row("  without a TPOT to miss:", goodput["n_exempt_tpot"])
