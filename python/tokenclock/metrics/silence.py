"""The longest time in which a server let nothing be heard of it while requests were under way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenclock import units
from tokenclock.metrics.in_flight import InFlight, in_flight
from tokenclock.records import Records

__all__ = ["Silence", "longest_silence"]

_CELL_NS = 10 * units.NS_PER_MS
_SORTED_UP_TO = 1_000_000


@dataclass(frozen=True)
class Silence:
    """From one arrival (or a sending into an idle server) to the next, ns."""

    t_start_ns: int
    length_ns: int


def longest_silence(records: Records) -> Silence | None:
    """Over all requests of the run together; None when nothing was sent.

    Exact with up to a million arrivals; more are laid into cells of 10 ms and not sorted: exact above 20 ms.
    """
    load = in_flight(records)
    if not len(load.t_ns):
        return None
    heard = [records.t_token_ns]
    heard += [records.columns[name][records.present(name)] for name in ("t_first_byte_ns", "t_done_ns")]
    idle_until = load.t_ns[1:][(load.n[:-1] == 0)]  # what came before is no silence: nobody was waiting
    marks = np.concatenate([*heard, load.t_ns[:1], idle_until])
    start = int(load.t_ns[0])
    marks = marks[marks >= start]
    if len(marks) <= _SORTED_UP_TO:
        return _sorted_out(np.sort(marks), load)
    cells = (marks - start) // _CELL_NS
    filled = np.flatnonzero(np.bincount(cells))
    if len(filled) < 2:
        return Silence(start, int(marks.max() - marks.min()))
    gaps = np.diff(filled)
    # from the end of a busy time to the next sending nobody waited
    ends = np.searchsorted(load.t_ns, start + (filled[:-1] + 1) * _CELL_NS, side="left") - 1
    gaps = np.where(load.n[ends] > 0, gaps, 0)
    at = int(np.argmax(gaps))
    first, last = marks[cells == filled[at]].max(), marks[cells == filled[at + 1]].min()
    return Silence(int(first), int(last - first)) if gaps[at] else Silence(start, 0)


def _sorted_out(marks: npt.NDArray[np.int64], load: InFlight) -> Silence:
    """Exact: the longest of the gaps in which requests were under way."""
    under_way = load.n[np.searchsorted(load.t_ns, marks[:-1], side="right") - 1] > 0
    gaps = np.where(under_way, np.diff(marks), 0)
    if not len(gaps):
        return Silence(int(marks[0]), 0)
    at = int(np.argmax(gaps))
    return Silence(int(marks[at]), int(gaps[at]))
