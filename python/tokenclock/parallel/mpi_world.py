"""The ranks of an MPI launch. Nothing here blocks inside MPI: every wait polls, so that a rank that left is noticed."""

from __future__ import annotations

import contextlib
import os
import pickle
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tokenclock.parallel.world import RankLost

__all__ = ["Farewell", "MpiWorld"]

T = TypeVar("T")

_FAREWELL = 1  # tags on the communicators of our own
_PIECE = 2
_PIECE_BYTES = 1 << 28  # MPI-3 counts end at 2^31
_SLOT_BYTES = 512  # of a rank in a gathering; what fits needs no second exchange
_INLINE_BYTES = _SLOT_BYTES - 8
_SPIN_S = 0.002  # a wait this short is spun; a longer one leaves the core to whom it may be waiting for
_NAP_S = 0.0002
_HEAR_EVERY_S = 0.05  # a farewell is the rarest of messages
_IN_FLIGHT_S = 4.0  # a rank may end while the last it sent is still under way to a slower one
_FLUSH_S = 0.3  # what was printed must pass through the launcher before it hears of the abort


@dataclass(frozen=True)
class Farewell:
    """What a rank said as it ended.

    Args:
        rank: whose word it is.
        host: where it ran.
        exit_code: what it ends with.
        line: what went wrong; empty where nothing did.
        echo: it ends because it waited for another rank that ended; `line` is about that one.
    """

    rank: int
    host: str
    exit_code: int
    line: str = ""
    echo: bool = False

    def __str__(self) -> str:
        return f"rank {self.rank} on {self.host}: {self.line or 'ended before the others'}"


class MpiWorld:
    """A `World` over all processes of the launch.

    Args:
        mpi: the module `mpi4py.MPI`, initialised.
        local_rank: as the launcher told; None: counted among the ranks that share this host's memory.
    """

    def __init__(self, mpi: Any, local_rank: int | None = None) -> None:
        self._mpi = mpi
        self._comm = mpi.COMM_WORLD.Dup()  # a runtime in this process may use COMM_WORLD itself
        self._control = mpi.COMM_WORLD.Dup()
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        self.host: str = platform.node()
        self.local_rank: int = self._count_local_rank() if local_rank is None else local_rank
        self._others = [rank for rank in range(self.size) if rank != self.rank]
        self.farewells: dict[int, Farewell] = {}
        self.lost: list[int] = []
        self.exit_code = 1  # of this process, should it have to end without MPI's own end
        self._left = False
        self._pending: list[Any] = []  # requests whose buffers MPI may still use
        self._heard_first_s = 0.0
        self.hosts: list[str] = [self.host] * self.size
        self.hosts = self.gather_all(self.host)

    def _count_local_rank(self) -> int:
        shared = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED, self.rank)
        try:
            return int(shared.Get_rank())
        finally:
            shared.Free()

    # --- the World -----------------------------------------------------------------------------------------------

    def barrier(self) -> None:
        self._do(self._comm.Ibarrier)

    def broadcast(self, value: T) -> T:
        data = pickle.dumps(value, protocol=5) if self.rank == 0 else b""
        length = np.array([len(data)], np.int64)
        self._do(self._comm.Ibcast, length, root=0)
        buffer = np.frombuffer(data, np.uint8) if self.rank == 0 else np.empty(int(length[0]), np.uint8)
        for piece in _pieces(buffer):
            self._do(self._comm.Ibcast, piece, root=0)
        return value if self.rank == 0 else _unpickled(buffer)

    def gather(self, value: T) -> list[T] | None:
        return self._gather_met(value, *self._meet(value))

    def _gather_met(self, value: T, data: bytes, arrived: list[tuple[int, bytes]]) -> list[T] | None:
        """The second half of a gathering: the long pickles go to rank 0, one after the other."""
        if self.rank != 0:
            if len(data) > _INLINE_BYTES:
                for piece in _pieces(np.frombuffer(data, np.uint8)):
                    self._do(self._comm.Isend, piece, dest=0, tag=_PIECE)
            return None
        values = []
        for rank, (length, inline) in enumerate(arrived):
            if rank == 0:
                values.append(value)
            elif length <= _INLINE_BYTES:
                values.append(pickle.loads(inline[:length]))
            else:
                buffer = np.empty(length, np.uint8)
                for piece in _pieces(buffer):
                    self._do(self._comm.Irecv, piece, source=rank, tag=_PIECE)
                values.append(_unpickled(buffer))
        return values

    def gather_all(self, value: T) -> list[T]:
        data, arrived = self._meet(value)
        if max(length for length, _ in arrived) <= _INLINE_BYTES:
            return [pickle.loads(inline[:length]) for length, inline in arrived]
        return self.broadcast(self._gather_met(value, data, arrived) or [])

    def _meet(self, value: Any) -> tuple[bytes, list[tuple[int, bytes]]]:
        """One exchange among all ranks: how long each one's pickle is, and the pickle itself where it is short."""
        data = pickle.dumps(value, protocol=5)
        mine = np.zeros(_SLOT_BYTES, np.uint8)
        mine[:8].view(np.int64)[0] = len(data)
        if len(data) <= _INLINE_BYTES:
            mine[8 : 8 + len(data)] = np.frombuffer(data, np.uint8)
        slots = np.empty((self.size, _SLOT_BYTES), np.uint8)
        self._do(self._comm.Iallgather, mine, slots)
        return data, [(int(slot[:8].view(np.int64)[0]), slot[8:].tobytes()) for slot in slots]

    # --- what goes on without ranks that were lost ---------------------------------------------------------------

    def collect(self, value: T) -> list[T | None] | None:
        if self.rank != 0:
            self._send(value, 0)
            return None
        values: list[T | None] = [value]
        for rank in range(1, self.size):
            try:
                values.append(self._receive(rank))
            except RankLost:
                values.append(None)
        return values

    def hand_out(self, value: T) -> T:
        if self.rank != 0:
            return self._receive(0)  # type: ignore[no-any-return]
        for rank in range(1, self.size):
            with contextlib.suppress(RankLost):
                self._send(value, rank)
        return value

    def _send(self, value: Any, rank: int) -> None:
        data = np.frombuffer(pickle.dumps(value, protocol=5), np.uint8)
        self._do(self._comm.Isend, np.array([len(data)], np.int64), dest=rank, tag=_PIECE, peer=rank)
        for piece in _pieces(data):
            self._do(self._comm.Isend, piece, dest=rank, tag=_PIECE, peer=rank)

    def _receive(self, rank: int) -> Any:
        length = np.zeros(1, np.int64)
        self._do(self._comm.Irecv, length, source=rank, tag=_PIECE, peer=rank)
        buffer = np.empty(int(length[0]), np.uint8)
        for piece in _pieces(buffer):
            self._do(self._comm.Irecv, piece, source=rank, tag=_PIECE, peer=rank)
        return _unpickled(buffer)

    # --- ends ----------------------------------------------------------------------------------------------------

    def abort(self, exit_code: int) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        time.sleep(_FLUSH_S)
        self._mpi.COMM_WORLD.Abort(exit_code or 1)

    # --- two ranks alone, for clocks -----------------------------------------------------------------------------

    def swap(self, peer: int, stamp: Callable[[], int]) -> tuple[int, int, int]:
        """One round trip with rank `peer`, which calls this with our rank; the lower rank asks.

        Returns:
            for the lower rank: its `stamp()` before asking, the peer's as it answered, and its own on return; for the
            peer: its stamp, three times.
        """
        box = np.zeros(1, np.int64)
        if self.rank < peer:
            asked = stamp()
            self._do(self._comm.Isend, box, dest=peer, tag=_PIECE, nap=False)
            self._do(self._comm.Irecv, box, source=peer, tag=_PIECE, nap=False)
            return asked, int(box[0]), stamp()
        self._do(self._comm.Irecv, box, source=peer, tag=_PIECE, nap=False)
        box[0] = answered = stamp()
        self._do(self._comm.Isend, box, dest=peer, tag=_PIECE, nap=False)
        return answered, answered, answered

    def leave(self, exit_code: int, line: str = "", *, echo: bool = False, grace_s: float = 0.0) -> bool:
        """Tell every other rank that this one ends, once, and wait up to `grace_s` for their own word.

        Returns:
            Whether all of them have said theirs (`farewells`): then nobody is left waiting for anybody.
        """
        if not self._left:
            self._left = True
            self.farewells[self.rank] = farewell = Farewell(self.rank, self.hosts[self.rank], exit_code, line, echo)
            for rank in self._others:
                with contextlib.suppress(self._mpi.Exception):  # lost
                    self._pending.append(self._control.isend(farewell, dest=rank, tag=_FAREWELL))
        deadline_s = time.monotonic() + grace_s
        while True:
            self._hear()
            for request in self._pending:
                with contextlib.suppress(self._mpi.Exception):
                    request.Test()
            if len(self.farewells) == self.size or time.monotonic() >= deadline_s:
                return len(self.farewells) == self.size
            time.sleep(0.01)

    def let_first_speak(self, patience_s: float) -> None:
        """Where ranks end without MPI's own end, which waits for all: wait for rank 0, whose output might be cut
        off when another rank ends first."""
        if self.rank == 0:
            return
        deadline_s = time.monotonic() + patience_s
        while 0 not in self.farewells and time.monotonic() < deadline_s:
            self._hear()
            time.sleep(0.01)
        time.sleep(_FLUSH_S)

    def _hear(self) -> None:
        """Take the farewells that have come, and note who was lost without one."""
        for rank in self._others:
            if rank in self.farewells:
                continue
            try:
                if not self._control.Iprobe(source=rank, tag=_FAREWELL):
                    continue
                self.farewells[rank] = self._control.recv(source=rank, tag=_FAREWELL)
            except self._mpi.Exception:
                self.lost.append(rank)
                self.farewells[rank] = Farewell(rank, self.hosts[rank], 1, "was lost: its process or its host is gone")
            self._heard_first_s = self._heard_first_s or time.monotonic()

    def _do(
        self, post: Callable[..., Any], *args: Any, nap: bool = True, peer: int | None = None, **kwargs: Any
    ) -> None:
        """Post a request and wait until it is done.

        Raises:
            RankLost: a rank has ended instead of coming. With `peer` no other one counts.
        """
        request = None
        try:
            request = post(*args, **kwargs)
            self._wait(request, nap, peer)
        except self._mpi.Exception as error:
            self._pending.append(request)
            self._hear()
            said = " ".join(str(error).split())
            raise self._loss(time.monotonic(), peer) or RankLost(f"another rank was lost ({said})") from error

    def _wait(self, request: Any, nap: bool, peer: int | None) -> None:
        if request.Test():
            return
        began_s = heard_s = time.monotonic()
        while not request.Test():
            now_s = time.monotonic()
            if now_s - heard_s > _HEAR_EVERY_S:
                heard_s = now_s
                self._hear()
                loss = self._loss(now_s, peer)
                if loss is not None and not request.Test():
                    self._pending.append(request)
                    raise loss
            if nap and now_s - began_s > _SPIN_S:
                time.sleep(_NAP_S)
            else:
                os.sched_yield()  # the rank that is waited for may need this very core

    def _loss(self, now_s: float, peer: int | None) -> RankLost | None:
        """For a rank that ended with an error; for one that just ended, once what it sent before must have come."""
        known = [self.farewells[rank] for rank in self._others if rank in self.farewells and peer in (None, rank)]
        failed = [farewell for farewell in known if farewell.exit_code]
        if known and not failed and now_s - self._heard_first_s > _IN_FLIGHT_S:
            failed = known
        if not failed:
            return None
        first = next((farewell for farewell in failed if not farewell.echo), failed[0])
        return RankLost(first.line if first.echo else str(first), first.exit_code)


def _unpickled(buffer: npt.NDArray[np.uint8]) -> Any:
    return pickle.loads(buffer.data)


def _pieces(buffer: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    """Parts of a buffer that MPI can count."""
    for start in range(0, len(buffer), _PIECE_BYTES):
        yield buffer[start : start + _PIECE_BYTES]
