"""The checks that every plan makes of its values: one line says what was expected, what was got, what to do."""

from __future__ import annotations

import math

from tokenclock.errors import UsageError

__all__ = ["is_number", "require", "require_int", "require_seconds", "shown"]


def require(ok: bool, flag: str, expected: str, got: object, remedy: str = "") -> None:
    """Raise the one line every wrong value gets: what was expected, what was got, what to do."""
    if not ok:
        raise UsageError(f"{flag} must be {expected}, got {shown(got)}" + (f"; {remedy}" if remedy else ""))


def shown(value: object) -> str:
    """A value as one short line: text as typed where that can be read, numbers without a tail."""
    if isinstance(value, str) and value and value.isprintable():
        text = value
    else:
        text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def require_int(flag: str, value: object, lowest: int, remedy: str = "") -> None:
    ok = isinstance(value, int) and not isinstance(value, bool) and value >= lowest
    require(ok, flag, f"a whole number >= {lowest}", value, remedy)


def require_seconds(flag: str, value: object, remedy: str) -> None:
    require(is_number(value) and 0 <= float(value) < 1e9, flag, "seconds >= 0", value, remedy)  # type: ignore[arg-type]
