"""The event log of a run: ``plan.json`` and parts of about a second each, so that a killed run loses only its last one.

Each part holds the token events and the ended requests that became final since the part before, written beside its
place, synced and renamed. ``read`` turns the directory back into Records.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.log_parts import read_parts
from tokenclock.open_files import files_for, is_out_of_files
from tokenclock.records import OSL_SOURCE_NAMES, REQUEST_COLUMNS, STATUS_NAMES, Records, empty_columns
from tokenclock.seen_in_events import counters_of_events
from tokenclock.standard_error import say_on_stderr

__all__ = ["EventLog", "is_whole", "read"]

Array = npt.NDArray[Any]

FORMAT = 1
PART_INTERVAL_S = 1.0
_EVENT_COLUMNS = ("event_row", "t_token_ns", "n_tokens", "t_read_ns")
_OK, _CANCELLED = STATUS_NAMES.index("ok"), STATUS_NAMES.index("cancelled")
_SERVER, _EVENTS = OSL_SOURCE_NAMES.index("server usage"), OSL_SOURCE_NAMES.index("event count")


class EventLog:
    """Writes a run's events as they become final.

    Args:
        directory: made if it is not there; must be empty of parts.
        plan: the plan, secrets masked; written to ``plan.json``.
        asked: full columns known before the run, e.g. ``isl_requested`` and ``osl_requested``, shape (n,).
        warn: told once, in one line, when the disk refuses; the run goes on without the log.
        flag: which the user gave for this place; it is named where the place cannot be written.

    Raises:
        UsageError: the directory holds another run's parts, or cannot be written.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        plan: Mapping[str, Any],
        asked: Mapping[str, Array],
        warn: Callable[[str], None],
        flag: str = "--save-events",
    ) -> None:
        self._directory = Path(directory)
        self._warn = warn
        self._n_parts = 0
        self._broken = False
        self._t_due_s = time.monotonic() + PART_INTERVAL_S
        self._header: dict[str, Any] = {
            "format": FORMAT,
            "complete": False,
            "n_requests": len(next(iter(asked.values()))),
            "plan": dict(plan),
        }
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._claim()
            self._write_arrays({f"asked_{name}": column for name, column in asked.items()})
        except OSError as error:
            remedy = "raise `ulimit -n`" if is_out_of_files(error) else "free space there or name another"
            raise UsageError(f"{flag}: {directory} cannot be written: {error.strerror or error}; {remedy}") from error

    def _claim(self) -> None:
        """Make plan.json, which only one run can; of two that start at once the second is refused."""
        others = f"--save-events {self._directory} holds the events of another run: name a new directory"
        if any(self._directory.glob("part-*.npz")):
            raise UsageError(others)
        plan_file = self._directory / "plan.json"
        try:
            plan_file.open("x").close()
        except FileExistsError as error:
            raise UsageError(others) from error
        try:
            self._write_header()
        except OSError:
            plan_file.unlink(missing_ok=True)
            raise

    @property
    def broken(self) -> bool:
        """True after the disk refused: nothing is written any more."""
        return self._broken

    def due(self) -> bool:
        """Whether it is time for the next part (about every second)."""
        return not self._broken and time.monotonic() >= self._t_due_s

    def write(self, final: Mapping[str, Array], columns: Mapping[str, Array]) -> None:
        """Write one part.

        Args:
            final: what became final since the last part (``LoadClient.take_final``): ``rows`` that ended, and token
                events in arrival order as ``event_row``, ``t_token_ns``, ``n_tokens``, ``t_read_ns``.
            columns: the run's request columns at full length; the ended rows are taken from them.
        """
        self._t_due_s = time.monotonic() + PART_INTERVAL_S
        rows = np.asarray(final["rows"])
        events = {name: np.asarray(final[name]) for name in _EVENT_COLUMNS}
        if self._broken or not (len(rows) or len(events["event_row"])):
            return
        ended = {f"column_{name}": np.asarray(column)[rows] for name, column in columns.items()}
        self._guard(lambda: self._write_arrays({"rows": rows, **events, **ended}))

    def finish(self, records: Records, *, incomplete: bool = False) -> None:
        """Close the log with what is known only at the end: error texts, the client's counters, the epoch.

        Call it after the last part was written; without it the log reads as the log of a killed run.
        """
        self._header["complete"] = not incomplete
        self._header["epoch_ns"] = records.epoch_ns
        self._header["client"] = records.client
        self._header["errors"] = {str(row): text for row, text in records.errors.items()}
        if not self._broken:
            self._guard(self._write_header)

    def _guard(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._broken = True
            remedy = f"free space under {self._directory}"
            if is_out_of_files(error):
                remedy = f"say `ulimit -n {files_for(self._header['n_requests'])}`"
            self._warn(
                f"event log stopped after part {self._n_parts}: {error.strerror or error}; "
                f"the run goes on without it, {remedy} for the next one"
            )

    def _write_header(self) -> None:
        with atomic_write(self._directory / "plan.json") as file:
            file.write(json.dumps(self._header, indent=1).encode("ascii"))

    def _write_arrays(self, arrays: Mapping[str, Array]) -> None:
        with atomic_write(self._directory / f"part-{self._n_parts + 1:06d}.npz") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        self._n_parts += 1


def is_whole(directory: str | os.PathLike[str]) -> bool:
    """Whether a log was written to its end, in the run that asks: nothing that was measured is missing in it."""
    try:
        return "epoch_ns" in json.loads((Path(directory) / "plan.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def read(
    directory: str | os.PathLike[str], say: Callable[[str], None] = say_on_stderr
) -> tuple[dict[str, Any], Records, bool]:
    """Read an event log.

    A request that had not ended when the run was killed is ``cancelled`` when any of its events is there, else
    ``not_sent``. Its client's counters are those that its events tell.

    A damaged part is said and left out; an answer that lost events by it is ``cancelled``: its gaps are not known.

    Returns:
        plan, Records, and whether the run was incomplete (killed or interrupted, or a part is damaged).

    Raises:
        UsageError: not an event log, or no part of it can be read.
    """
    folder = Path(directory)
    try:
        header = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        if header["format"] != FORMAT:
            raise UsageError(f"{folder} has event log format {header['format']}, expected {FORMAT}")
        parts, damaged = read_parts(folder, "part-*.npz", _load_part, say)
        records = _assemble(header, parts, holes=bool(damaged))
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise UsageError(
            f"{folder} is no event log: expected plan.json and part-*.npz of --save-events ({error})"
        ) from error
    return header["plan"], records, bool(damaged) or not header["complete"]


def _load_part(path: Path) -> dict[str, Array]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def _assemble(header: Mapping[str, Any], parts: list[dict[str, Array]], *, holes: bool) -> Records:
    n = int(header["n_requests"])
    columns = empty_columns(n)
    counts = {name: np.full(n, -1, np.int32) for name in ("osl_server", "osl_events")}
    targets = {**columns, **counts}
    for part in parts:
        for key, values in part.items():
            group, _, name = key.partition("_")
            if group == "asked" and name in targets:
                targets[name][:] = values
            elif group == "column" and name in targets:
                targets[name][part["rows"]] = values
    with_events = [part for part in parts if "event_row" in part]
    event_row = np.concatenate([np.zeros(0, np.int32), *(part["event_row"] for part in with_events)])
    order = np.argsort(event_row, kind="stable")
    lengths = np.bincount(event_row, minlength=n)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def gathered(name: str, dtype: str) -> Array:
        return np.concatenate([np.zeros(0, dtype), *(part[name] for part in with_events)]).astype(dtype)[order]

    t_token_ns, t_read_ns = gathered("t_token_ns", "int64"), gathered("t_read_ns", "int64")
    n_tokens = gathered("n_tokens", "int32")
    _settle_lengths(columns, counts)
    if holes:
        counted = np.where(counts["osl_events"] >= 0, counts["osl_events"], columns["osl"])
        found = np.bincount(event_row[order], weights=n_tokens, minlength=n)
        columns["status"][(columns["status"] == _OK) & (found < counted)] = _CANCELLED
    _settle_unfinished(columns, parts, offsets, t_token_ns)
    for name, (dtype, _) in REQUEST_COLUMNS.items():
        columns[name] = columns[name].astype(dtype)
    return Records(
        epoch_ns=int(header.get("epoch_ns", 0)),
        columns=columns,
        token_offsets=offsets,
        t_token_ns=t_token_ns,
        n_tokens=n_tokens,
        t_read_ns=t_read_ns,
        errors={int(row): text for row, text in header.get("errors", {}).items()},
        client=header["client"] if "client" in header else counters_of_events(offsets, t_token_ns, t_read_ns),
    )


def _settle_lengths(columns: dict[str, Array], counts: Mapping[str, Array]) -> None:
    """Fill ``osl`` where the log has only the native counts: the server's usage, else the count of events."""
    unknown = columns["osl"] < 0
    by_server = unknown & (counts["osl_server"] >= 0)
    by_events = unknown & ~by_server & (counts["osl_events"] > 0)
    for rows, name, source in ((by_server, "osl_server", _SERVER), (by_events, "osl_events", _EVENTS)):
        columns["osl"][rows] = counts[name][rows]
        columns["osl_source"][rows] = source


def _settle_unfinished(
    columns: dict[str, Array], parts: list[dict[str, Array]], offsets: Array, t_token_ns: Array
) -> None:
    """Give requests that were in flight when the run was killed the instants that their events tell."""
    ended = np.zeros(len(offsets) - 1, dtype=bool)
    for part in parts:
        if "rows" in part:
            ended[part["rows"]] = True
    in_flight = ~ended & (np.diff(offsets) > 0)
    columns["status"][in_flight] = _CANCELLED
    columns["t_first_token_ns"][in_flight] = t_token_ns[offsets[:-1][in_flight]]
    columns["t_last_token_ns"][in_flight] = t_token_ns[offsets[1:][in_flight] - 1]
