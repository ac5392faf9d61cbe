"""Files that are whole or not there: written beside their place, synced, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_write", "clear_stale_parts", "refuse_irregular"]

_STALE_AFTER_S = 10.0  # without a write: a process of another host, whose pid says nothing here, writes more often


def refuse_irregular(path: str | os.PathLike[str]) -> None:
    """Raise OSError where ``path`` is there and neither a regular file nor a directory, which the rename refuses."""
    try:
        mode = os.stat(path).st_mode
    except OSError:  # not there, or something that writing will say better
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, and no regular file", os.fspath(path))


def clear_stale_parts(directory: str | os.PathLike[str], stem: str) -> None:
    """Remove what `atomic_write` left in a directory for names that begin with `stem` when its process was killed.

    A file stays where its process lives, or where it was written to in the last ten seconds. Raises nothing.
    """
    form = re.compile(rf"\.{re.escape(stem)}.*\.(\d{{1,9}})\.part")
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(directory)):
            found = form.fullmatch(entry.name)
            if found is None or _lives(int(found[1])) or time.time() - entry.stat().st_mtime < _STALE_AFTER_S:
                continue
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of ``path`` when the block ends without an error.

    Args:
        path: the file; its directory must exist. Of a symbolic link, what it points at is replaced, and the link stays.

    Raises:
        OSError: the disk is full, the directory cannot be written, or ``path`` is a device, a pipe or a socket, which a
            file must not take the place of; ``path`` is then as it was.
    """
    refuse_irregular(path)
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
