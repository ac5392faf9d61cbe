"""The shapes in which published data sets hold prompts: which columns, and what in them is question and answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenclock.errors import UsageError

__all__ = ["SHAPES", "Exchange", "find_shape"]

_ASKING = ("user", "human")


@dataclass(frozen=True)
class Exchange:
    """Messages to send, and the recorded answer (empty where there is none or none counts)."""

    messages: list[dict[str, Any]]
    answer: str = ""


Row = Mapping[str, Any]


def _one(question: str, answer: Any = "") -> Exchange | None:
    messages = [{"role": "user", "content": question}]
    return Exchange(messages, answer if isinstance(answer, str) else "") if question else None


def _text(where: str, row: Row, key: str) -> str:
    value = row[key]
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{where}: {key} must be text, got {type(value).__name__}")
    return value or ""


def _list(where: str, row: Row, key: str) -> list[Any]:
    value = row[key]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise UsageError(f"{where}: {key} must be a list, got {type(value).__name__}")
    return list(value)


def _turns(where: str, row: Row, key: str) -> list[tuple[str, str]]:
    """(who, what) of each turn, in either spelling; a turn that is itself a list holds its message first."""
    turns = []
    for turn in _list(where, row, key):
        message = turn[0] if isinstance(turn, list) and turn else turn
        if not isinstance(message, Mapping):
            raise UsageError(f"{where}: {key} must hold turns with role and content, got {type(message).__name__}")
        who, what = message.get("role", message.get("from")), message.get("content", message.get("value"))
        if not isinstance(who, str) or not isinstance(what, str):
            raise UsageError(f"{where}: {key} must hold turns with role and content, got {', '.join(message)}")
        turns.append((who, what))
    return turns


def _first_question(where: str, row: Row, key: str) -> Exchange | None:
    turns = _turns(where, row, key)
    at = next((index for index, (who, _) in enumerate(turns) if who in _ASKING), None)
    if at is None:
        return None
    answer = turns[at + 1][1] if at + 1 < len(turns) else ""
    system = [{"role": "system", "content": what} for who, what in turns[:at] if who == "system"]
    exchange = _one(turns[at][1], answer)
    return None if exchange is None else Exchange([*system, *exchange.messages], exchange.answer)


def _instruction(where: str, row: Row) -> Exchange | None:
    given = _text(where, row, "input") if "input" in row else ""
    asked = _text(where, row, "instruction")
    return _one(f"{given}\n\n{asked}" if given and asked else asked)  # the length of these answers is 200 by custom


def _first_turn(where: str, row: Row) -> Exchange | None:
    turns = _list(where, row, "turns")
    if turns and not isinstance(turns[0], str):
        raise UsageError(f"{where}: turns must hold text, got {type(turns[0]).__name__}")
    return _one(turns[0]) if turns else None


def _pair(key: str, *answers: str) -> Callable[[str, Row], Exchange | None]:
    def read(where: str, row: Row) -> Exchange | None:
        return _one(_text(where, row, key), next((row[name] for name in answers if row.get(name)), ""))

    return read


SHAPES: dict[str, Callable[[str, Row], Exchange | None]] = {
    "messages": lambda where, row: _first_question(where, row, "messages"),
    "conversations": lambda where, row: _first_question(where, row, "conversations"),
    "conversation": lambda where, row: _first_question(where, row, "conversation"),
    "turns": _first_turn,
    "instruction": _instruction,
    "problem": _pair("problem", "solution", "answer"),
    "question": _pair("question", "answer", "response"),
    "prompt": _pair("prompt", "completion", "response", "answer", "output"),
    "text": _pair("text"),
}
"""Column that tells a shape -> its reader, the most telling first."""


def find_shape(columns: Sequence[str]) -> str | None:
    """The first known column among these."""
    return next((name for name in SHAPES if name in columns), None)
