"""The ranks of a load test: what they agree on before it, when they start, and what they hand to rank 0 after it."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tokenclock import event_log
from tokenclock._core import now_ns
from tokenclock.errors import UsageError
from tokenclock.merge import Part
from tokenclock.parallel import World
from tokenclock.parallel.clock_offset import ClockOffset, between, measure_offsets
from tokenclock.parallel.guardian import guarded
from tokenclock.parallel.notes import notes_of_others
from tokenclock.plan import ServingPlan
from tokenclock.records import STATUS_NAMES, Records
from tokenclock.serving.split import check_split, plan_of_rank, rows_of_rank, workload_of_rank
from tokenclock.units import NS_PER_S
from tokenclock.workload.realised import Workload

__all__ = ["RankPart", "Ranks"]

T = TypeVar("T")

_NOT_SENT = STATUS_NAMES.index("not_sent")
_LEAD_NS = 250_000_000  # from the agreement to the agreed instant: every rank has heard of it by then
_EARLY_S = 0.005  # the load client is started this long before
_SETTLE_S = 1.5  # after the end of this rank: others may still be writing their last part


@dataclass(frozen=True)
class RankPart:
    """What rank 0 has of one rank after the run.

    Args:
        part: what the rank saw, or what its event log held of that; None where there is nothing.
        facts: JSON-ready: ``rank host local_rank ended n_requests n_seen epoch_ns clock_offset_ns
            clock_uncertainty_ns``; `ended` is ``well``, ``lost`` or ``ended from outside``.
    """

    part: Part | None
    facts: dict[str, Any]


class Ranks:
    """Of a world of one every method answers at once and changes nothing.

    Args:
        world: the ranks; all of them make theirs together.
        plan: of the whole run.
        say: told one line at a time what the user should know, on rank 0; the others' lines are gathered.

    Raises:
        UsageError: the ranks were given different plans, or there is too little to share.
    """

    def __init__(self, world: World, plan: ServingPlan, say: Callable[[str], None]) -> None:
        self._world, self._say_aloud, self._notes = world, say, list[str]()
        self._offsets = [ClockOffset(0, 0, 0)]
        self._epochs_ns: list[int] = []
        self._hosts, self._local_ranks = [world.host], [world.local_rank]
        self._n = plan.load.num_prompts
        if world.size > 1:
            check_split(plan, world.size)
            self._require_same(plan.to_dict(), "plan; see its command line")
            self._hosts = world.gather_all(world.host)
            self._local_ranks = world.gather_all(world.local_rank)

    @property
    def several(self) -> bool:
        return self._world.size > 1

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which alone says and writes anything."""
        return self._world.rank == 0

    def say(self, line: str) -> None:
        """Rank 0 says it at once; what others say comes at the end, where it is news."""
        self._notes.append(line)
        if self.is_first:
            with suppress(*([OSError] if self.several else [])):  # a launcher that was told to end no longer listens
                self._say_aloud(line)

    def same(self, value: T) -> T:
        """Rank 0's value."""
        return self._world.broadcast(value)

    def share(self, plan: ServingPlan, workload: Workload) -> tuple[ServingPlan, Workload]:
        """The part of plan and workload that this rank is to send.

        Raises:
            UsageError: the ranks realised different workloads.
        """
        self._n, self._slots = len(workload), plan.load.max_concurrency
        if not self.several:
            return plan, workload
        self._require_same(workload.sha256, "requests; see that its files and its server are the same")
        rank, size = self._world.rank, self._world.size
        self._offsets = measure_offsets(self._world, stamp=now_ns)
        return plan_of_rank(plan, self._n, rank, size), workload_of_rank(workload, rank, size, self._slots)

    def rows(self, rank: int | None = None) -> Any:
        """int64: the rows of the whole run that a rank sends; of this one by default."""
        return rows_of_rank(self._n, self._world.rank if rank is None else rank, self._world.size, self._slots)

    def start(self) -> int:
        """Wait for all ranks and for the instant they agreed on, just before which this returns it: by this rank's own
        clock, as ns of CLOCK_MONOTONIC. 0 for one process: it starts when it likes."""
        if not self.several:
            return 0
        self._world.barrier()
        agreed_ns = self._world.broadcast(now_ns() + _LEAD_NS)  # by rank 0's clock
        own_ns = agreed_ns + self._offsets[self._world.rank].offset_ns
        self._epochs_ns = [agreed_ns + offset.offset_ns for offset in self._offsets]
        time.sleep(max(0.0, (own_ns - now_ns()) / NS_PER_S - _EARLY_S))
        return own_ns

    # --- event logs ----------------------------------------------------------------------------------------------

    def log_directory(self, place: Path, rank: int | None = None) -> Path:
        """Where a rank writes its event log, within the place of the run's."""
        return place / f"rank-{self._world.rank if rank is None else rank:04d}" if self.several else place

    def clear_log(self, place: Path) -> None:
        """Take this rank's own log away; the place goes with the last of them."""
        shutil.rmtree(self.log_directory(place), ignore_errors=True)
        with suppress(OSError):
            place.rmdir()

    # --- the end -------------------------------------------------------------------------------------------------

    def collect(self, records: Records, place: Path | None) -> list[RankPart] | None:
        """On rank 0 what each rank saw, this one's first; of a rank that was lost, what its event log in `place` holds
        where rank 0 can read it. None on the other ranks."""
        if not self.several:
            return [RankPart(Part(self.rows(), records), {})]
        gathered = self._world.collect(records)
        notes = self._world.collect(self._notes)
        if gathered is None:
            if self._still_all():
                measure_offsets(self._world, stamp=now_ns)
            return None
        for line in notes_of_others([own or [] for own in notes or []], self._hosts):
            self.say(line)
        if self._still_all(gathered):
            after = measure_offsets(self._world, stamp=now_ns)
            self._offsets = [between(*pair) for pair in zip(self._offsets, after, strict=True)]
        return [
            self._part(rank, Part(self.rows(rank), own), "well")
            if own is not None
            else self._from_log(rank, place, "lost")
            for rank, own in enumerate(gathered)
        ]

    def from_logs(self, place: Path) -> list[RankPart]:
        """What the event logs of all ranks hold, of those that can be read from here."""
        time.sleep(_SETTLE_S)
        return [self._from_log(rank, place, "ended from outside") for rank in range(self._world.size)]

    @contextmanager
    def guarded(self, finish: Callable[[], None], *, needed: bool) -> Iterator[Callable[[], None]]:
        """On rank 0 of several, where `needed`: should this process end before it calls the function given, `finish` is
        called in its place."""
        if self.several and self.is_first and needed:
            with guarded(finish) as done:
                yield done
        else:
            yield lambda: None

    def hand_out(self, value: T) -> T:
        """Rank 0's value, on every rank that is still there."""
        return self._world.hand_out(value) if self.several else value

    # --- inside --------------------------------------------------------------------------------------------------

    def _still_all(self, gathered: list[Any] | None = None) -> bool:
        """Whether no rank was lost; rank 0 tells the others."""
        return bool(self.hand_out(gathered is not None and all(own is not None for own in gathered)))

    def _part(self, rank: int, part: Part | None, ended: str) -> RankPart:
        offset = self._offsets[rank]
        facts = {
            "rank": rank,
            "host": self._hosts[rank],
            "local_rank": self._local_ranks[rank],
            "ended": ended,
            "n_requests": len(self.rows(rank)),
            "n_seen": None if part is None else int((part.records.columns["status"] != _NOT_SENT).sum()),
            "epoch_ns": self._epochs_ns[rank] if rank < len(self._epochs_ns) else None,  # not known before the start
            "clock_offset_ns": offset.offset_ns,
            "clock_uncertainty_ns": offset.uncertainty_ns,
        }
        return RankPart(part, facts)

    def _from_log(self, rank: int, place: Path | None, ended: str) -> RankPart:
        part = None
        if place is not None:
            with suppress(UsageError, ValueError):
                _, records, incomplete = event_log.read(self.log_directory(place, rank))
                part = Part(self.rows(rank), records)
                ended = ended if incomplete else "well"
        return self._part(rank, part, ended)

    def _require_same(self, value: Any, what: str) -> None:
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        digests = self._world.gather_all(digest)
        other = next((rank for rank, found in enumerate(digests) if found != digests[0]), None)
        if other is not None:
            kind, _, remedy = what.partition("; ")
            raise UsageError(f"all ranks must have the same {kind}, got another on rank {other}; {remedy}")
