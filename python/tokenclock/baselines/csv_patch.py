"""A unified diff that makes a CSV baseline say what was measured, and changes nothing else of it.

Updated are rows out of tolerance, with every cell that the target has but the thresholds; new rows come at the end;
rows that are missing go; rows that were not measured stay.
"""

from __future__ import annotations

import csv
import difflib
import io
import os
import shlex
from collections.abc import Mapping, Sequence

from tokenclock.baselines.csv_diff import BETTER, MISSING, NEW, WORSE, Difference
from tokenclock.baselines.csv_rows import CsvRow, CsvTable, lines_of
from tokenclock.errors import UsageError

__all__ = ["how_to_apply", "name_in_patch", "patch_of"]

_KEPT = ("threshold", "absolute_threshold")
_NO_LINE_END = "\\ No newline at end of file\n"


def patch_of(base: CsvTable, differences: Sequence[Difference]) -> str:
    """The diff, for `patch -p1` and `git apply` in the current folder, or `patch` in the file's; empty: no change.

    Raises:
        UsageError: the base's path has a line break, a tab, a quote or a backslash, which a diff's heading cannot hold.
    """
    name = name_in_patch(base.path)
    if set(name) & set('\n\r\t"\\'):
        raise UsageError(f"{base.path!r} must be a name that a patch can hold; rename the file")
    tab = "\t" if " " in name else ""
    after = _updated(base, differences)
    diff = difflib.unified_diff(base.lines, after, f"a/{name}{tab}", f"b/{name}{tab}", lineterm="\n")
    return "".join(line if line.endswith("\n") else f"{line}\n{_NO_LINE_END}" for line in diff)


def name_in_patch(path: str) -> str:
    """The path from the current folder where it lies in it, else the file's name alone."""
    relative = os.path.relpath(os.path.abspath(path))
    return os.path.basename(path) if relative.startswith(os.pardir) else relative.replace(os.sep, "/")


def how_to_apply(base_path: str, patch_path: str) -> str:
    """The command that applies it from the current folder."""
    if os.path.relpath(os.path.abspath(base_path)).startswith(os.pardir):
        folder = os.path.dirname(os.path.abspath(base_path))
        return f"patch -d {shlex.quote(folder)} -p1 < {shlex.quote(patch_path)}"
    return f"patch -p1 < {shlex.quote(patch_path)}"


def _updated(base: CsvTable, differences: Sequence[Difference]) -> list[str]:
    """The lines that the base should have."""
    of_line: dict[int, Difference] = {
        found.base.first: found for found in differences if found.base is not None and found.kind in _CHANGING
    }
    lines: list[str] = []
    number = 1
    while number <= len(base.lines):
        found = of_line.get(number)
        if found is None or found.base is None:
            lines.append(base.lines[number - 1])
            number += 1
            continue
        if found.kind != MISSING and found.target is not None:
            lines += _lines_of(base, {**found.base.cells, **_fresh(found.target)})
        number = found.base.last + 1
    new = [found.target for found in differences if found.base is None and found.target is not None]
    if new and lines and not lines[-1].endswith("\n"):
        lines[-1] += base.line_end
    return [*lines, *(line for row in new for line in _lines_of(base, row.cells))]


_CHANGING = (WORSE, BETTER, NEW, MISSING)


def _fresh(row: CsvRow) -> dict[str, str]:
    return {name: text for name, text in row.cells.items() if name not in _KEPT}


def _lines_of(base: CsvTable, cells: Mapping[str, str]) -> list[str]:
    """A row as the file's lines: more than one where a cell has line breaks."""
    out = io.StringIO()
    csv.writer(out, lineterminator=base.line_end).writerow([cells.get(name, "") for name in base.columns])
    return lines_of(out.getvalue())
