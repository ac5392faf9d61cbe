"""Instants as tools write them in their files, and as people type them."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tokenclock.errors import UsageError

__all__ = ["instant_of", "typed_instant"]

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LATEST_S = 4_102_444_800  # 2100: larger numbers are ms, us or ns


def instant_of(text: str, path: str | os.PathLike[str]) -> datetime:
    """When a run was, in UTC: as its file says, else when the file was written, else now.

    Args:
        text: ISO 8601, ``YYYYMMDD-HHMMSS``, or seconds, ms, us or ns since 1970; without a zone it is local time.
        path: the file.
    """
    found = _iso(text) or _compact(text) or _number(text)
    if found is not None:
        return found
    with contextlib.suppress(OSError):
        return datetime.fromtimestamp(Path(path).stat().st_mtime, timezone.utc)
    return datetime.now(timezone.utc)


def typed_instant(text: str, *, now: datetime | None = None) -> datetime:
    """An instant of a flag, in UTC: ``2026-11-01``, ``2026-11-01T12:00`` (local time), or ``30d`` for 30 days ago.

    Raises:
        UsageError: it is neither.
    """
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if ago is not None:
        try:
            return (now or datetime.now(timezone.utc)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError as error:
            raise UsageError(f"expected an instant after the year 1, got {text} ago") from error
    found = _iso(text)
    if found is None:
        raise UsageError(f"expected a date such as 2026-11-01 or 2026-11-01T12:00, or 30d, 12h, 2w ago, got {text}")
    return found


def _iso(text: str) -> datetime | None:
    if not re.match(r"\d{4}-\d\d-\d\d", text.strip()):
        return None
    try:  # Python 3.10 knows no Z
        return _utc(datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text.strip())))
    except (ValueError, OverflowError):
        return None


def _compact(text: str) -> datetime | None:
    try:
        return _utc(datetime.strptime(text.strip(), "%Y%m%d-%H%M%S"))
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> datetime | None:
    try:
        value = float(text)
        for _ in ("ms", "us", "ns"):
            if value > _LATEST_S:
                value /= 1000
        return datetime.fromtimestamp(value, timezone.utc) if 0 < value <= _LATEST_S else None
    except (ValueError, OverflowError, OSError):
        return None


def _utc(when: datetime) -> datetime:
    return when.astimezone(timezone.utc)
