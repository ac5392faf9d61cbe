"""Resident memory of a process and its children, from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

__all__ = ["descendants", "process_name", "rss_bytes"]

_PROC = Path("/proc")


def descendants(roots: Iterable[int], *, without: Collection[int] = ()) -> frozenset[int]:
    """`roots` that live and all their living children, children's children and so on; `without` and theirs left out.

    A process whose parent died is nobody's child any more and is missed. Without /proc: the roots.
    """
    children = _children()
    found: set[int] = set()
    waiting = [pid for pid in roots if pid not in without]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += [child for child in children.get(pid, ()) if child not in without]
    return frozenset(found)


def _children() -> dict[int, list[int]]:
    """Parent -> children, of every process that can be seen."""
    found: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(_PROC):
            if not name.isdigit():
                continue
            with contextlib.suppress(OSError, ValueError, IndexError):  # it may end while we look
                # proc(5): the second field, a name in parentheses, may hold blanks; the fourth is the parent
                fields = (_PROC / name / "stat").read_bytes().rpartition(b")")[2].split()
                found.setdefault(int(fields[1]), []).append(int(name))
    return found


def rss_bytes(pids: Iterable[int]) -> int | None:
    """Sum of the resident memory of processes; pages that several share count in each. None when none can be read."""
    page = os.sysconf("SC_PAGE_SIZE")
    total, n_read = 0, 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{pid}/statm", "rb") as file:
                total += int(file.read().split()[1]) * page
            n_read += 1
    return total if n_read else None


def process_name(pid: int) -> str | None:
    """The short name of a process; None when it has ended or is not ours to see."""
    try:
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip() or None
    except OSError:
        return None
