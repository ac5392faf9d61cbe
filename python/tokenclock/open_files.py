"""How many open files a load needs, and what to do where there were too few."""

from __future__ import annotations

import errno

__all__ = ["files_for", "is_out_of_files"]

_OTHERS = 128  # files, pipes and libraries of this process


def files_for(n_connections: int) -> int:
    """The limit of open files with which a process may have `n_connections` at once."""
    return n_connections + _OTHERS


def is_out_of_files(error: OSError) -> bool:
    """Whether no file could be opened because too many are: of this process, or of the whole machine."""
    return error.errno in (errno.EMFILE, errno.ENFILE)
