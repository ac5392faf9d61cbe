"""CSV rows of an offline run: the keys of the ``[BENCHMARK]`` line, then what became of the case, quoted as needed."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenclock.report.format import brief

__all__ = ["append", "file_name", "header", "row"]

_LONGEST_NAME_BYTES = 200  # of 255 that file systems take, with the rest of the name
_OWN = ("status", "reason", "created")


def file_name(model: Mapping[str, Any], world_size: int, compute_cap: str | None) -> str:
    """``{model}_{dtype}_tp{N}_sm{cc}.csv``; ``cpu`` stands in place of ``sm{cc}`` where no GPU was used.

    Letters and digits of any script stay in the model's name, whatever else a file system may dislike becomes ``-``.
    """
    composed = unicodedata.normalize("NFC", str(model.get("name") or "model"))
    kept = "".join(character if character.isalnum() or character in ".+-" else " " for character in composed)
    name = "-".join(kept.split()).strip("-.")
    name = name.encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore") or "model"
    return f"{name}_{model.get('precision')}_tp{world_size}_{compute_cap or 'cpu'}.csv"


def header(keys: Sequence[str]) -> str:
    """The header's line."""
    return _line([*keys, *_OWN])


def row(values: Mapping[str, Any], case: Mapping[str, Any], created: str) -> str:
    """A case's line.

    Args:
        values: ``faces["benchmark"]["cases"][i]`` of a result.
        case: ``cases[i]`` of the same result.
        created: start of the run, ISO 8601.
    """
    return _line([*(str(value) for value in values.values()), case["status"], brief(case["reason"] or ""), created])


def append(path: str | os.PathLike[str], head: str, line: str) -> None:
    """Add a line to a file; a file that is new or empty gets the header first.

    Raises:
        ValueError: the file begins with another header.
        OSError: it cannot be written.
    """
    file = Path(path)
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if text and text.partition("\n")[0] != head:
        raise ValueError(f"{file} begins with another header")
    ended = "" if not text or text.endswith("\n") else "\n"
    with open(file, "a", encoding="utf-8") as out:
        out.write((ended if text else head + "\n") + line + "\n")


def _line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([" ".join(value.split()) for value in values])
    return text.getvalue()
