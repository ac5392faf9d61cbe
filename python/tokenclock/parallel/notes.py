"""What several ranks had to say, each thing once."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["names_of", "notes_of_others"]


def notes_of_others(notes: Sequence[Sequence[str]], hosts: Sequence[str]) -> list[str]:
    """What ranks had to say and rank 0 did not: each note once, with the ranks it is from, in the order of ranks.

    Args:
        notes: for each rank its notes.
        hosts: for each rank where it ran.
    """
    who: dict[str, list[tuple[int, str]]] = {}
    for rank, lines in enumerate(notes):
        for line in dict.fromkeys(lines):
            who.setdefault(line, []).append((rank, hosts[rank]))
    return [f"{line} ({names_of(ranks)})" for line, ranks in who.items() if ranks[0][0] != 0]


def names_of(ranks: Sequence[tuple[int, str]]) -> str:
    """Ranks with the hosts they ran on: ``rank 1 on node7``, ``ranks 1, 3 on node7, 5 on node9``."""
    by_host: dict[str, list[str]] = {}
    for rank, host in ranks:
        by_host.setdefault(host, []).append(str(rank))
    places = ", ".join(f"{', '.join(numbers)} on {host}" for host, numbers in by_host.items())
    return f"{'rank' if len(ranks) == 1 else 'ranks'} {places}"
