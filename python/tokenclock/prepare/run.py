"""Writes a request file of a plan: JSON lines or the workload file, with its manifest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenclock.errors import UsageError
from tokenclock.prepare.adapters import notes_on_adapters
from tokenclock.prepare.manifest import manifest, manifest_line
from tokenclock.prepare.plan import PreparePlan, RealData
from tokenclock.prepare.real import RealRows, read_real_rows
from tokenclock.prepare.sink import open_sink
from tokenclock.prepare.synthetic import SyntheticRows
from tokenclock.prepare.workload_file import real_metadata, synthetic_metadata

__all__ = ["FORMS", "MANIFESTS", "Destination", "prepare"]

FORMS = ("jsonl", "workload")
MANIFESTS = ("file", "stderr", "line", "none")


@dataclass(frozen=True)
class Destination:
    """Where a request file goes and in which form."""

    path: str | None  # None: standard output
    form: str = "jsonl"  # jsonl | workload
    manifest: str = "file"  # file: PATH.manifest.json; stderr; line: the last line of JSON lines; none

    def __post_init__(self) -> None:
        if self.manifest == "file" and self.path is None:
            raise UsageError("--manifest file needs --output; with --stdout use stderr, line or none")
        if self.manifest == "line" and self.form != "jsonl":
            raise UsageError("--manifest line needs JSON lines (--stdout); a workload file has one JSON object")


def prepare(plan: PreparePlan, to: Destination, say: Callable[[str], None]) -> dict[str, Any]:
    """Write the file and return its manifest. Same plan, same bytes, on whatever machine and day.

    Raises UsageError for input that cannot be read, MeasurementError where the file cannot be written.
    """
    rows = _rows(plan)
    adapters = sorted(set(np.unique(rows.adapters).tolist())) if rows.adapters is not None else []
    for note in notes_on_adapters(plan.lora, adapters, rows_name_them=to.form == "jsonl"):
        say(note)
    isl, osl, facts = _drawn(rows)
    with open_sink(to.path) as sink:
        for piece in rows.json_lines() if to.form == "jsonl" else _workload_file(plan, rows):
            sink.write(piece)
        found = manifest(plan, form=to.form, isl=isl, osl=osl, facts=facts, n_bytes=sink.n_bytes, sha256=sink.sha256())
        if to.manifest == "line":
            sink.write(manifest_line(found))
    if to.manifest == "file":
        with open_sink(f"{to.path}.manifest.json") as sink:
            sink.write(json.dumps(found, indent=2, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
    elif to.manifest == "stderr":
        say(manifest_line(found).decode().rstrip("\n"))
    return found


def _rows(plan: PreparePlan) -> SyntheticRows | RealRows:
    return read_real_rows(plan, plan.source) if isinstance(plan.source, RealData) else SyntheticRows.draw(plan)


def _drawn(rows: SyntheticRows | RealRows) -> tuple[Any, Any, dict[str, Any]]:
    """Input lengths, output lengths, and what else is to be said of the rows."""
    if isinstance(rows, SyntheticRows):
        return rows.isl, rows.lengths.osl, rows.facts()
    isl = [len(row.ids) for row in rows.rows if row.ids is not None]  # of pictures no length is known
    osl = [row.osl for row in rows.rows]
    facts = {
        "vocabulary": f"tokens of {rows.tokenizer.source}",
        "rows_left_out_as_too_long": rows.n_too_long,
        "rows_with_media": len(osl) - len(isl),
    }
    return np.array(isl, dtype=np.int32), np.array(osl, dtype=np.int32), facts


def _workload_file(plan: PreparePlan, rows: SyntheticRows | RealRows) -> Iterator[bytes]:
    metadata = synthetic_metadata(plan, rows) if isinstance(rows, SyntheticRows) else real_metadata(plan, rows)
    yield b'{"metadata":' + json.dumps(metadata, ensure_ascii=False).encode() + b',\n"samples":[\n'
    yield from rows.samples()
    yield b"\n]}\n"
