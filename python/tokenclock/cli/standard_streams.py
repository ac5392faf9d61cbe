"""Standard output and error as a shell may hand them over: closed, full, or with a reader that leaves early."""

from __future__ import annotations

import contextlib
import os
import sys

from tokenclock.standard_error import say_on_stderr

__all__ = ["draws_boxes", "give_up", "open_closed_streams", "show"]


def open_closed_streams() -> None:
    """Point streams that are closed (`>&-`) at nowhere, and say so where stdout is one of them.

    Else the next file or socket that is opened gets their number, and whatever is printed would go there.
    """
    names = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    if not names and sys.stdin is not None:
        return
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in names:
        setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if "stdout" in names:
        say_on_stderr("tokenclock: standard output is closed: nothing is printed there")


def show(prefix: str, *texts: str) -> int:
    """Print `texts`, and whatever was printed before; a stdout that does not take them is said, after `prefix`.

    Returns:
        the exit code of a command that has nothing else to do: 0; 1 where stdout took nothing; 141, as a shell counts
        the signal, where its reader has gone.
    """
    try:
        for text in texts:
            print(text)
        sys.stdout.flush()
    except OSError as error:
        return give_up(prefix, error)
    return 0


def give_up(prefix: str, error: OSError) -> int:
    """Where stdout did not take something: say so, and send what is still in the buffer nowhere.

    Else the interpreter fails on it at its end. Returns the exit code, as `show`.
    """
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    if isinstance(error, BrokenPipeError):
        return 141
    say_on_stderr(f"{prefix}: cannot write to standard output: {error.strerror or error}")
    return 1


def draws_boxes() -> bool:
    """Whether stdout can take the characters that boxes are drawn of."""
    try:
        "┏┃╇".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
