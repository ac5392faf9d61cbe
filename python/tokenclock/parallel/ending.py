"""How a rank ends: its reason is said once, by whoever still can, and no other rank is left waiting for it."""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokenclock.parallel import joining
from tokenclock.parallel.launch import detect
from tokenclock.parallel.notes import names_of
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.parallel.mpi_world import Farewell, MpiWorld

__all__ = ["distinct_lines", "end_with", "leave_at_exit", "note_exit_code"]

_HOLD_BACK_S = 2.0  # in which rank 0 says what stops every rank alike, and the launcher ends the rest
_GRACE_S = 3.0  # for the others to end for a reason of their own, or because they heard of ours


def end_with(prefix: str, line: str, exit_code: int, *, about_another: bool = False) -> None:
    """Say on stderr why this process ends, once for all ranks that end for the same reason.

    Ranks that are stuck in a step of their own are ended with this one's exit code: then it does not return.

    Args:
        prefix: command, as in `tokenclock benchmark`.
        line: the reason.
        exit_code: not 0.
        about_another: `line` tells that another rank was lost; that rank's own line is said in its place.
    """
    world = joining.connected()
    if world is None:
        launch = detect(os.environ)
        if launch is not None and launch.rank != 0 and launch.size != 1:
            time.sleep(_HOLD_BACK_S)
            line = f"rank {launch.rank} on {platform.node()}: {line}"
        say_on_stderr(f"{prefix}: {line}")
        return
    if world.leave(exit_code, line, echo=about_another, grace_s=_GRACE_S):
        if world.rank == 0:
            for said in distinct_lines(world.farewells.values()):
                say_on_stderr(f"{prefix}: {said}")
        return
    own = line if about_another else str(world.farewells[world.rank])
    say_on_stderr(f"{prefix}: {own}")
    world.abort(exit_code)


def distinct_lines(farewells: Iterable[Farewell]) -> list[str]:
    """Each reason once, with the ranks that gave it; without them where all ranks gave the same."""
    ordered = sorted(farewells, key=lambda farewell: farewell.rank)
    spoken = [farewell for farewell in ordered if farewell.line and not farewell.echo]
    if not spoken:  # one ended without a word, the others say so
        return list(dict.fromkeys(farewell.line for farewell in ordered if farewell.line))[:1]
    if len(spoken) == len(ordered) and len({farewell.line for farewell in spoken}) == 1:
        return [spoken[0].line]
    by_line: dict[str, list[Farewell]] = {}
    for farewell in spoken:
        by_line.setdefault(farewell.line, []).append(farewell)
    return [f"{names_of([(who.rank, who.host) for who in ranks])}: {line}" for line, ranks in by_line.items()]


def leave_at_exit(world: MpiWorld) -> None:
    """See to it that the interpreter's end is told to the other ranks; an uncaught exception ends those that wait."""
    atexit.register(_at_exit, world)


def note_exit_code(code: int) -> int:
    """Tell what this process is about to exit with; returns it."""
    world = joining.connected()
    if world is not None:
        world.exit_code = code
    return code


def _at_exit(world: MpiWorld) -> None:
    error = getattr(sys, "last_value", None)  # of an exception that nobody caught, whose traceback was printed
    if error is None or world.rank in world.farewells:
        world.leave(0)
    else:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        if not world.leave(1, line, grace_s=_GRACE_S):
            say_on_stderr(f"tokenclock: {world.farewells[world.rank]}")
            world.abort(1)
    if world.lost:  # MPI's own end would wait for them
        world.let_first_speak(_GRACE_S)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(world.exit_code)
