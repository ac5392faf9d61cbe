"""How the ranks of a run stay together: each iteration they tell each other how they fared, and whether to go on."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from tokenclock.errors import TokenclockError, UsageError
from tokenclock.parallel import World
from tokenclock.standard_error import say_on_stderr

__all__ = ["CaseFailed", "CaseRefused", "Turn", "agree", "describe", "failed_turn", "together"]

_PATIENCE_S = 5.0
_LONGEST = 2000  # characters of an error that are kept: a compiler's may have hundreds of thousands


class CaseFailed(Exception):
    """A rank failed in the case; the text is one line, with the rank where there are several."""

    trace = ""
    """The traceback on the rank that failed."""


class CaseRefused(Exception):
    """The runtime cannot do what the case asks for; the text is one line."""


@dataclass(frozen=True)
class Turn:
    """What one rank says after an iteration, or after a phase of a case.

    Args:
        goes_on: of rank 0, whether there is another iteration; of the others it is not looked at.
        stop: this rank was told to stop (Ctrl-C).
        error: what went wrong, in one line; None where nothing did.
        refused: the error is a refusal (UsageError).
        trace: traceback of the error.
    """

    goes_on: bool = True
    stop: bool = False
    error: str | None = None
    refused: bool = False
    trace: str = ""


def describe(error: BaseException) -> str:
    """One line: kind and text of an error, 2000 characters of it at most, in plain words where memory ran out."""
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    if isinstance(error, TokenclockError):
        return text
    kind = type(error).__name__
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or kind == "OutOfMemoryError":
        return f"out of memory: {text}" if text else "out of memory"
    return f"{kind}: {text}" if text else kind


def agree(world: World, turn: Turn, *, lockstep: bool) -> Turn:
    """What all ranks said, as one: rank 0's word on going on, anybody's wish to stop, the first error.

    Args:
        world: every rank calls, each with its own turn.
        turn: this rank's.
        lockstep: the ranks' work depends on each other. Where this rank has an error and the others do not come to the
            meeting in 5 s, they hang in a collective of the runtime: the whole run is ended, with the reason.

    Raises:
        CaseFailed, CaseRefused: on every rank, when any of them had an error.
    """
    agreed = turn
    if world.size > 1:
        with _patience(world, turn.error if lockstep else None):
            turns = world.gather_all(turn)
        agreed = Turn(turns[0].goes_on, any(other.stop for other in turns))
        failed = next(((rank, other) for rank, other in enumerate(turns) if other.error is not None), None)
        if failed is not None:
            rank, other = failed
            agreed = Turn(False, agreed.stop, f"rank {rank}: {other.error}", other.refused, other.trace)
    if agreed.refused and agreed.error is not None:
        raise CaseRefused(agreed.error)
    if agreed.error is not None:
        failure = CaseFailed(agreed.error)
        failure.trace = agreed.trace
        raise failure
    return agreed


@contextlib.contextmanager
def together(world: World, *, lockstep: bool) -> Iterator[None]:
    """A phase of a case that every rank goes through; an error of any of them ends it for all.

    Raises:
        CaseFailed, CaseRefused: on every rank, when any of them had an error.
    """
    try:
        yield
    except (Exception, SystemExit) as error:  # a library that gives up by sys.exit ends its case, not the run
        agree(world, failed_turn(error), lockstep=lockstep)
        raise AssertionError("an error was not raised again") from error
    agree(world, Turn(), lockstep=lockstep)


def failed_turn(error: Exception | SystemExit) -> Turn:
    """The turn of a rank that `error` struck."""
    trace = "".join(traceback.format_exception(error))
    return Turn(False, error=describe(error), refused=isinstance(error, UsageError), trace=trace)


@contextlib.contextmanager
def _patience(world: World, error: str | None) -> Iterator[None]:
    """Ends every rank when the block, in which a rank with an error waits for the others, takes too long."""
    if error is None:
        yield
        return

    def end() -> None:
        line = f"tokenclock benchmark: rank {world.rank} failed while the others wait for it: {error}"
        say_on_stderr(line)
        world.abort(1)

    timer = threading.Timer(_PATIENCE_S, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
