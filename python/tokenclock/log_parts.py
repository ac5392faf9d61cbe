"""The parts of an event log, of which a damaged one costs no other."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tokenclock.errors import UsageError

__all__ = ["read_parts"]

T = TypeVar("T")

_DAMAGED = (OSError, EOFError, KeyError, ValueError, TypeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def read_parts(
    folder: Path, pattern: str, load: Callable[[Path], T], say: Callable[[str], None]
) -> tuple[list[T], list[Path]]:
    """Read the parts that can be read.

    Args:
        folder: of the log.
        pattern: of the parts' names; they are read in the order of their names.
        load: reads one part; what it raises for a damaged file is caught.
        say: told in one line of each part that cannot be read.

    Returns:
        what was read, and the files that were not.

    Raises:
        UsageError: there are parts, but none can be read.
    """
    parts, damaged = [], []
    for path in sorted(folder.glob(pattern)):
        try:
            parts.append(load(path))
        except _DAMAGED as error:
            damaged.append(path)
            say(f"{path} is damaged ({error}): what it holds is left out, and the run counts as incomplete")
    if damaged and not parts:
        raise UsageError(f"{folder} is no event log that can be read: all its parts ({len(damaged)}) are damaged")
    return parts, damaged
