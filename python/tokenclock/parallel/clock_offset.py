"""How far the monotonic clocks of the ranks stand apart, measured over the connection between them.

Each rank's CLOCK_MONOTONIC counts from a start of its own (the boot of its host, or a time namespace). Rank 0 asks
another rank for its clock: the answer was given at some instant between question and return, so the offset is known to
half the round trip, however unevenly its two ways took (Cristian, Distributed Computing 3, 1989). The shortest of many
round trips bounds it best. Clocks also drift, so a long run measures before and after: `between` tells both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenclock.parallel.world import World

if TYPE_CHECKING:
    from tokenclock.parallel.mpi_world import MpiWorld

__all__ = ["ClockOffset", "between", "from_round_trips", "measure_offsets"]

ROUND_TRIPS = 200


@dataclass(frozen=True)
class ClockOffset:
    """A rank's clock against rank 0's.

    Args:
        offset_ns: what to take from an instant of that rank to get the same instant on rank 0's clock.
        uncertainty_ns: the true offset lies within this of `offset_ns`; 0 for rank 0 itself.
        n_round_trips: measured.
    """

    offset_ns: int
    uncertainty_ns: int
    n_round_trips: int


def from_round_trips(trips: Sequence[tuple[int, int, int]]) -> ClockOffset:
    """The offset that the shortest of the round trips gives.

    Args:
        trips: for each: our clock at the question, the other's at its answer, ours at the return; ns.

    Raises:
        ValueError: no round trip, or one that returned before it was sent.
    """
    if not trips or any(returned < asked for asked, _, returned in trips):
        raise ValueError(f"round trips must be one or more, each returning after it was sent, got {list(trips)[:3]}")
    asked, answered, returned = min(trips, key=lambda trip: trip[2] - trip[0])
    round_trip = returned - asked
    return ClockOffset(answered - (asked + round_trip // 2), (round_trip + 1) // 2, len(trips))


def between(before: ClockOffset, after: ClockOffset) -> ClockOffset:
    """The offset halfway through a run that began at `before` and ended at `after`, good for all of it.

    Clocks drift against each other; whatever the drift was, the uncertainty covers both ends.
    """
    low = min(before.offset_ns - before.uncertainty_ns, after.offset_ns - after.uncertainty_ns)
    high = max(before.offset_ns + before.uncertainty_ns, after.offset_ns + after.uncertainty_ns)
    return ClockOffset((low + high) // 2, (high - low + 1) // 2, before.n_round_trips + after.n_round_trips)


def measure_offsets(
    world: World, *, n_round_trips: int = ROUND_TRIPS, stamp: Callable[[], int] = time.perf_counter_ns
) -> list[ClockOffset]:
    """The offsets of all ranks against rank 0, in their order, on every rank; called by all of them together.

    Args:
        world: the ranks; of one rank the answer is zero, known exactly.
        n_round_trips: with each rank, one rank after the other.
        stamp: reads the clock in ns.
    """
    offsets = [ClockOffset(0, 0, 0)]
    if world.size > 1:
        mpi: MpiWorld = world  # type: ignore[assignment]  # the only world of several ranks
        for rank in range(1, world.size):
            trips = []
            if world.rank in (0, rank):
                peer = rank if world.rank == 0 else 0
                trips = [mpi.swap(peer, stamp) for _ in range(n_round_trips)]
            if world.rank == 0:
                offsets.append(from_round_trips(trips))
            world.barrier()
    return world.broadcast(offsets)
