"""Takes values out of a dataset's rows: a missing key, a misspelt key and a wrong type are errors of one line."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.workload.datasets.reading import fault

__all__ = ["RowKeys", "chat_messages", "text_of", "whole_number"]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_LONGEST_OUTPUT = 10_000_000  # tokens; more is a slip


class RowKeys:
    """Holds the keys of rows against those that are known, and remembers those that go unused."""

    def __init__(self, path: str, needed: Collection[str], optional: Collection[str] = ()) -> None:
        self._path, self._needed, self._known = path, needed, {*needed, *optional}
        self._optional = optional
        self._unused: Counter[str] = Counter()

    def check(self, line: int, row: Mapping[str, Any]) -> None:
        """Raise UsageError where a needed key is missing or another is nearly a known one."""
        for key in row.keys() - self._known:
            close = difflib.get_close_matches(key, self._known - row.keys(), n=1, cutoff=0.8)
            if close:
                raise fault(self._path, line, f"unknown key {key} (did you mean {close[0]}?)")
            self._unused[key] += 1
        for key in self._needed:
            if key not in row:
                got = ", ".join(list(row)[:6]) or "no keys"
                raise fault(self._path, line, f"expected the key {key}, got {got}")

    def notes(self) -> list[str]:
        """One line on the keys that were passed over, if any."""
        if not self._unused:
            return []
        named = ", ".join(f"{key} ({count} rows)" for key, count in self._unused.most_common(5))
        return [f"{self._path}: keys that are not used: {named}"]


def text_of(path: str, line: int, key: str, value: Any) -> str:
    """The text under `key`. Raises UsageError for anything else, and for text that cannot be sent as UTF-8."""
    if not isinstance(value, str):
        raise _wrong(path, line, key, "text", value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise fault(path, line, f"{key} holds half a surrogate pair, which is no text") from error
    return value


def whole_number(path: str, line: int, key: str, value: Any) -> int:
    """The whole number from 1 under `key`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LONGEST_OUTPUT:
        raise _wrong(path, line, key, f"a whole number from 1 to {_LONGEST_OUTPUT}", value)
    return value


def chat_messages(path: str, line: int, key: str, value: Any) -> list[dict[str, Any]]:
    """The messages under `key`: a list of objects with a known `role` and a `content` of text or parts."""
    if not isinstance(value, list) or not value:
        raise _wrong(path, line, key, "a list of messages", value)
    for number, message in enumerate(value):
        place = f"{key}[{number}]"
        if not isinstance(message, dict):
            raise _wrong(path, line, place, "an object with role and content", message)
        for name in ("role", "content"):
            if name not in message:
                raise fault(path, line, f"{place} must have the key {name}, got {', '.join(message) or 'no keys'}")
        if message["role"] not in _ROLES:
            raise _wrong(path, line, f"{place}.role", "one of " + ", ".join(_ROLES), message["role"])
        if not isinstance(message["content"], list):
            text_of(path, line, f"{place}.content", message["content"])
    return value


def _wrong(path: str, line: int, key: str, expected: str, value: Any) -> UsageError:
    shown = repr(value)
    return fault(path, line, f"{key} must be {expected}, got {shown if len(shown) <= 60 else shown[:57] + '...'}")
