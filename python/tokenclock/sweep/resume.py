"""What of an earlier, unfinished sweep still counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.sweep.index import DONE, Entry, Index, read_entries, refuse_running
from tokenclock.sweep.points import Point

__all__ = ["earlier_entries", "take_over"]


def earlier_entries(result_dir: Path, *, resume: bool, overwrite: bool) -> list[Entry]:
    """Points of an earlier sweep into the directory; none where it is to be begun anew.

    Raises:
        UsageError: there are some, and neither `resume` nor `overwrite` was asked for; or another sweep runs.
    """
    refuse_running(result_dir)
    earlier = None if overwrite else read_entries(result_dir)
    if earlier is not None and not resume:
        n_done = sum(entry.status == DONE for entry in earlier)
        raise UsageError(
            f"{result_dir} holds a sweep already ({n_done} of {len(earlier)} points done); --resume goes on with it, "
            "--overwrite begins anew, another result_dir keeps both"
        )
    return earlier or []


def take_over(index: Index, result_dir: Path, points: Sequence[Point], earlier: Sequence[Entry]) -> int:
    """Enter the points into the index, those that are done already as done; how many these are.

    A point counts as done when its earlier run was, with the same command, server and options, and its result is there,
    whole.
    """
    index.earlier = {
        entry.key: entry for entry in earlier if entry.status == DONE and _is_whole(result_dir / entry.file)
    }
    n_done = 0
    for point in points:
        if index.taken_over(point) is not None:
            n_done += 1
        else:
            index.add(point)
    return n_done


def _is_whole(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False
