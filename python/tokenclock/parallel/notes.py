"""What several ranks had to say, each thing once."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["names_of", "said_once"]


def said_once(notes: Sequence[Sequence[str]], hosts: Sequence[str]) -> list[str]:
    """Notes of all ranks in the order they came up, each once; one that not every rank made names those that did.

    Args:
        notes: for each rank its notes.
        hosts: for each rank where it ran.
    """
    who: dict[str, list[int]] = {}
    for rank, lines in enumerate(notes):
        for line in dict.fromkeys(lines):
            who.setdefault(line, []).append(rank)
    return [
        line if len(ranks) == len(notes) else f"{line} ({names_of([(rank, hosts[rank]) for rank in ranks])})"
        for line, ranks in who.items()
    ]


def names_of(ranks: Sequence[tuple[int, str]]) -> str:
    """Ranks with the hosts they ran on: ``rank 1 on node7``, ``ranks 1, 3 on node7, 5 on node9``."""
    by_host: dict[str, list[str]] = {}
    for rank, host in ranks:
        by_host.setdefault(host, []).append(str(rank))
    places = ", ".join(f"{', '.join(numbers)} on {host}" for host, numbers in by_host.items())
    return f"{'rank' if len(ranks) == 1 else 'ranks'} {places}"
