"""What a rank can say to the others, and the world of one in which it says it to itself."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from tokenclock.errors import TokenclockError

__all__ = ["OneProcess", "RankLost", "World"]

T = TypeVar("T")


class RankLost(TokenclockError):
    """Another rank ended while this one waited for it; ends the command with that rank's exit code, or 1."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code or 1


class World(Protocol):
    """All ranks of a run. Every method but the properties is called by all ranks together, in the same order.

    A method that waits for the others raises RankLost when one of them has ended instead of coming.
    """

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

    def collect(self, value: T) -> list[T | None] | None:
        """Like `gather`, but a rank that was lost leaves None in its place and nobody waits for it.

        Ranks survive the loss of another where MPI lets them: `mpirun --with-ft ulfm` of Open MPI 5.
        """

    def hand_out(self, value: T) -> T:
        """Like `broadcast`, past ranks that were lost."""

    def abort(self, exit_code: int) -> None:
        """End every rank now with this code; does not return under MPI. Whoever calls it has said why on stderr."""


@dataclass(frozen=True)
class OneProcess:
    """A world of one."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    host: str = field(default_factory=platform.node)

    def barrier(self) -> None:
        return None

    def broadcast(self, value: T) -> T:
        return value

    def gather(self, value: T) -> list[T] | None:
        return [value]

    def gather_all(self, value: T) -> list[T]:
        return [value]

    def collect(self, value: T) -> list[T | None] | None:
        return [value]

    def hand_out(self, value: T) -> T:
        return value

    def abort(self, exit_code: int) -> None:
        raise SystemExit(exit_code)
