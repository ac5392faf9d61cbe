"""Which runs are meant: the filter that all commands and pages of the history share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tokenclock.errors import UsageError

__all__ = ["COLUMNS", "Filter", "checked_column", "number_of", "text_of"]

COLUMNS: dict[str, str] = {
    "kind": "text", "tool": "text", "tool_version": "text", "model": "text", "label": "text", "test": "text",
    "gpu": "text", "gpu_count": "whole", "host": "text", "concurrency": "whole", "request_rate": "number",
    "batch_size": "whole", "isl": "number", "osl": "number", "backend": "text", "streaming": "switch", "state": "text",
}  # fmt: skip
"""What runs can be told apart by, and its type; beside these there is ``tag.NAME``."""


@dataclass(frozen=True)
class Filter:
    """Every condition given must hold.

    Args:
        model, label, test, gpu, host, kind, tool: text; ``*`` stands for any characters; None: any.
        tag: name -> text likewise.
        since, until: instants of a run's start, ``since`` included and ``until`` not.
        states: any of these; none given: all.
        key: column (of ``COLUMNS``, or ``tag.NAME``) -> exactly this text, as `text_of` writes it.
    """

    model: str | None = None
    label: str | None = None
    test: str | None = None
    gpu: str | None = None
    host: str | None = None
    kind: str | None = None
    tool: str | None = None
    tag: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    states: tuple[str, ...] = ()
    key: Mapping[str, str] = field(default_factory=dict)


def checked_column(name: str) -> str:
    """`name`, where runs can be told apart by it.

    Raises:
        UsageError: it is neither of ``COLUMNS`` nor ``tag.NAME``.
    """
    if name in COLUMNS or (name.startswith("tag.") and len(name) > 4):
        return name
    raise UsageError(f"runs cannot be told apart by {name}: expected one of {', '.join(COLUMNS)} or tag.NAME")


def text_of(value: str | float | bool | None) -> str:
    """A column's value as text that says it exactly: empty for None, ``yes`` and ``no``, ``8``, ``0.1``, ``inf``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def number_of(column: str, text: str) -> float | bool | None:
    """What `text_of` wrote of a column that is no text.

    Raises:
        UsageError: it is not of the column's type.
    """
    if text == "":
        return None
    type_ = COLUMNS[column]
    if type_ == "switch" and text in ("yes", "no"):
        return text == "yes"
    try:
        value = math.nan if type_ == "switch" else float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value) or (type_ == "whole" and not value.is_integer()):
        expected = {"switch": "yes or no", "whole": "a whole number", "number": "a number"}[type_]
        raise UsageError(f"{column} must be {expected}, got {text}")
    return value
