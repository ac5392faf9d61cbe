"""The ranks of a run and what they say to each other; without MPI a world of one."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = ["OneProcess", "World", "connect"]

T = TypeVar("T")


class World(Protocol):
    """All ranks of a run. Every method but the properties is called by all ranks together, in the same order."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def local_rank(self) -> int:
        """Place among the ranks of this host, from 0; chooses the GPU. Never the global rank."""

    @property
    def host(self) -> str: ...

    def barrier(self) -> None:
        """Return when every rank has called."""

    def broadcast(self, value: T) -> T:
        """Rank 0's value, on every rank (the others' argument is ignored)."""

    def gather(self, value: T) -> list[T] | None:
        """Everybody's values in the order of ranks, on rank 0; None elsewhere."""

    def gather_all(self, value: T) -> list[T]:
        """Everybody's values in the order of ranks, on every rank."""

    def abort(self, exit_code: int) -> None:
        """End every rank now with this code; does not return under MPI. Whoever calls it has said why on stderr."""


@dataclass(frozen=True)
class OneProcess:
    """A world of one."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    host: str = platform.node()

    def barrier(self) -> None:
        return None

    def broadcast(self, value: T) -> T:
        return value

    def gather(self, value: T) -> list[T] | None:
        return [value]

    def gather_all(self, value: T) -> list[T]:
        return [value]

    def abort(self, exit_code: int) -> None:
        raise SystemExit(exit_code)


def connect() -> World:
    """The world that this process was started in."""
    return OneProcess()
