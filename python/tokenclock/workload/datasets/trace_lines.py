"""Traces in JSON lines: Mooncake's, and the rows that `tokenclock prepare-dataset` and genai-perf's users write."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tokenclock.errors import UsageError
from tokenclock.workload.datasets.fields import RowKeys, chat_messages, text_of
from tokenclock.workload.datasets.media import picture_message
from tokenclock.workload.datasets.reading import fault
from tokenclock.workload.datasets.trace import BLOCK_TOKENS, Trace
from tokenclock.workload.messages import Messages, Prompt

__all__ = ["MANIFEST_KEY", "read_lines_trace"]

MANIFEST_KEY = "tokenclock_manifest"
"""The one key of the line that `prepare-dataset --manifest line` ends a file with."""
_LONGEST = 10_000_000  # tokens; more is a slip
_LARGEST_ID = (1 << 31) - 1
_CONTENTS = ("input_ids", "logits", "prompt", "text_input", "messages")
_KEYS = (
    *("task_id", "timestamp", "delay", "session_id", "input_length", "output_length", "output_tokens", "hash_ids"),
    *(*_CONTENTS, "lora_request", "media_paths"),
)


def read_lines_trace(path: str, rows: Iterable[tuple[int, dict[str, Any]]], form: str) -> Trace:
    """Rows in the order of the file; `mooncake` needs timestamp and both lengths on each, `jsonl` what a row says.

    `timestamp` and `delay` are ms. A row has one of input_ids, prompt, messages and input_length, and one of
    output_tokens and output_length. Raises UsageError with the line for what is wrong.
    """
    return _Columns(path, form).read(rows)


class _Columns:
    """Grows the columns of one file."""

    def __init__(self, path: str, form: str) -> None:
        self._path, self._form = path, form
        needed = ("timestamp", "input_length", "output_length") if form == "mooncake" else ()
        self._keys = RowKeys(path, needed, _KEYS)
        self._isl: list[int] = []
        self._osl: list[int] = []
        self._t_ms: list[float] = []
        self._delay_ms: list[float] = []
        self._hash_ids: list[list[int]] = []
        self._prompts: list[Prompt | None] = []
        self._session: list[int] = []
        self._lora: list[str | None] = []
        self._sessions: dict[str, int] = {}
        self._lines_of_ids: dict[int, int] = {}
        self._timed_line = self._untimed_line = 0  # the first with a time; the first that needs one and has none

    def read(self, rows: Iterable[tuple[int, dict[str, Any]]]) -> Trace:
        for line, row in rows:
            if MANIFEST_KEY in row and len(row) == 1:
                continue
            self._keys.check(line, row)
            self._add(line, row)
        if self._timed_line and self._untimed_line:
            raise fault(
                self._path,
                self._untimed_line,
                f"expected the key timestamp, as line {self._timed_line} has it, got none; give all rows one, or none",
            )
        has_hashes = any(self._hash_ids)
        return Trace(
            path=self._path,
            form=self._form,
            isl=np.array(self._isl, dtype=np.int64),
            osl=np.array(self._osl, dtype=np.int64),
            t_ms=np.array(self._t_ms, dtype=np.float64),
            hash_ids=self._hash_ids if has_hashes else None,
            prompts=self._prompts if any(prompt is not None for prompt in self._prompts) else None,
            session=np.array(self._session, dtype=np.int64) if self._sessions else None,
            delay_ms=np.array(self._delay_ms, dtype=np.float64) if self._sessions else None,
            lora=self._lora if any(self._lora) else None,
            notes=tuple(self._keys.notes()),
        )

    def _add(self, line: int, row: Mapping[str, Any]) -> None:
        self._check_id(line, row)
        prompt, isl = self._contents(line, row)
        self._prompts.append(prompt)
        self._isl.append(isl)
        self._osl.append(self._either(line, row, "output_tokens", "output_length"))
        self._t_ms.append(self._milliseconds(line, row, "timestamp", needed=self._form == "mooncake"))
        self._delay_ms.append(self._milliseconds(line, row, "delay"))
        self._hash_ids.append(self._hashes(line, row, isl))
        n_sessions = len(self._sessions)
        self._session.append(self._session_of(line, row))
        begins = self._session[-1] < 0 or len(self._sessions) > n_sessions
        if not math.isnan(self._t_ms[-1]):
            self._timed_line = self._timed_line or line
        elif begins:
            self._untimed_line = self._untimed_line or line
        self._lora.append(self._adapter(line, row))

    def _check_id(self, line: int, row: Mapping[str, Any]) -> None:
        if "task_id" not in row:
            return
        number = row["task_id"]
        if not isinstance(number, int) or isinstance(number, bool):
            raise self._wrong(line, "task_id", "a whole number", number)
        before = self._lines_of_ids.setdefault(number, line)
        if before != line:
            raise fault(self._path, line, f"task_id must differ from row to row, got {number} as on line {before}")

    def _contents(self, line: int, row: Mapping[str, Any]) -> tuple[Prompt | None, int]:
        """What the row sends, where it says so, and its length in tokens (-1: only the server can know)."""
        given = [key for key in _CONTENTS if key in row]
        if len(given) > 1:
            raise fault(self._path, line, f"expected one of {', '.join(_CONTENTS)}, got {' and '.join(given)}")
        if not given:
            if "input_length" not in row:
                got = ", ".join(list(row)[:6]) or "no keys"
                raise fault(self._path, line, f"expected one of input_ids, prompt, messages, input_length, got {got}")
            return None, self._count(line, "input_length", row["input_length"])
        key, value = given[0], row[given[0]]
        if key in ("input_ids", "logits"):
            ok = isinstance(value, list) and bool(value)
            if not ok or not all(type(one) is int and 0 <= one <= _LARGEST_ID for one in value):
                raise self._wrong(line, key, "a list of token ids, each a whole number >= 0", value)
            return value, len(value)
        if key == "messages":
            return Messages.of(chat_messages(self._path, line, key, value)), -1
        text = text_of(self._path, line, key, value)
        if not text:
            raise fault(self._path, line, f"{key} is empty; servers refuse an empty prompt")
        if row.get("media_paths"):
            return picture_message(self._path, line, text, row["media_paths"]), -1
        return text, -1

    def _either(self, line: int, row: Mapping[str, Any], *keys: str) -> int:
        given = [key for key in keys if key in row]
        if len(given) != 1:
            got = " and ".join(given) or ", ".join(list(row)[:6]) or "no keys"
            raise fault(self._path, line, f"expected the key {' or '.join(keys)}, got {got}")
        return self._count(line, given[0], row[given[0]])

    def _count(self, line: int, key: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LONGEST:
            raise self._wrong(line, key, f"a whole number from 1 to {_LONGEST}", value)
        return value

    def _milliseconds(self, line: int, row: Mapping[str, Any], key: str, *, needed: bool = False) -> float:
        value: Any = row.get(key)
        if value is None and not needed:
            return math.nan
        ok = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not ok or not 0 <= value < 1e12:
            raise self._wrong(line, key, "milliseconds >= 0", value)
        return float(value)

    def _hashes(self, line: int, row: Mapping[str, Any], isl: int) -> list[int]:
        value = row.get("hash_ids")
        if value is None:
            return []
        ok = isinstance(value, list) and all(type(one) is int and abs(one) < 1 << 63 for one in value)
        if not ok:
            raise self._wrong(line, "hash_ids", "a list of whole numbers", value)
        if isl >= 0 and len(value) > -(-isl // BLOCK_TOKENS):
            most = f"{-(-isl // BLOCK_TOKENS)} at most for {isl} tokens in blocks of {BLOCK_TOKENS}"
            raise fault(self._path, line, f"hash_ids must be {most}, got {len(value)}")
        return list(value)

    def _session_of(self, line: int, row: Mapping[str, Any]) -> int:
        value = row.get("session_id")
        if value is None:
            if not math.isnan(self._delay_ms[-1]):
                raise fault(self._path, line, "delay must stand in a row with session_id, got none")
            return -1
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise self._wrong(line, "session_id", "text or a whole number", value)
        return self._sessions.setdefault(str(value), len(self._sessions))

    def _adapter(self, line: int, row: Mapping[str, Any]) -> str | None:
        value = row.get("lora_request")
        if value is None:
            return None
        if not isinstance(value, dict) or not isinstance(value.get("lora_name"), str) or not value["lora_name"]:
            raise self._wrong(line, "lora_request", "an object with lora_name", value)
        return str(value["lora_name"])

    def _wrong(self, line: int, key: str, expected: str, value: Any) -> UsageError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return fault(self._path, line, f"{key} must be {expected}, got {shown}")
