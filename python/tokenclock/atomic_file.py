"""Files that are whole or not there: written beside their place, synced, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_write", "refuse_irregular"]


def refuse_irregular(path: str | os.PathLike[str]) -> None:
    """Raise OSError where ``path`` is there and neither a regular file nor a directory, which the rename refuses."""
    try:
        mode = os.stat(path).st_mode
    except OSError:  # not there, or something that writing will say better
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, and no regular file", os.fspath(path))


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
