"""Where several ranks were one client: which of them were lost, and how well their clocks are known."""

from __future__ import annotations

from collections.abc import Iterator

from tokenclock.quality_checks.figure import Figure
from tokenclock.records import Records

__all__ = ["rank_figures"]


def rank_figures(records: Records) -> Iterator[Figure]:
    """Nothing for a load test of one process."""
    client = records.client
    if "n_ranks" not in client:
        return
    lost = client["ranks_lost"]
    names = ", ".join(map(str, lost))
    which = f"rank {names} of {client['n_ranks']} was" if len(lost) == 1 else f"ranks {names} were"
    why = "" if len(lost) == 1 else " (one of them by itself, the others perhaps by the launcher, which ends all)"
    yield Figure(
        "ranks",
        len(lost),
        {"n_ranks": client["n_ranks"], "lost": names or None},
        verdict=("invalid", f"{which} lost{why}: what was yet to be sent there is missing") if lost else None,
    )
    yield Figure("rank_clocks", float(client["rank_clock_uncertainty_ns"]))
