"""The checks that every plan makes of its values: one line says what was expected, what was got, what to do."""

from __future__ import annotations

import math

from tokenclock.errors import UsageError

__all__ = [
    "LONGEST",
    "MOST_REQUESTS",
    "is_number",
    "json_problem",
    "require",
    "require_int",
    "require_length",
    "require_room",
    "require_seconds",
    "shown",
]

LONGEST = 1 << 24
"""Tokens of a prompt or an answer: above any model's context, and far from where 32-bit columns end."""
MOST_REQUESTS = 10_000_000
_ID_BYTES = 4
_PROMPT_BYTES = 4_000_000_000  # of token ids that one run draws; they are all drawn before it starts


def require(ok: bool, flag: str, expected: str, got: object, remedy: str = "") -> None:
    """Raise the one line every wrong value gets: what was expected, what was got, what to do."""
    if not ok:
        raise UsageError(f"{flag} must be {expected}, got {shown(got)}" + (f"; {remedy}" if remedy else ""))


def json_problem(error: BaseException) -> str:
    """What is wrong with a JSON text, without the advice that Python has for programmers."""
    return "a number of too many digits" if "integer string conversion" in str(error) else str(error)


def shown(value: object) -> str:
    """A value as one short line: text as typed where that can be read, numbers without a tail."""
    if isinstance(value, str) and value and value.isprintable():
        text = value
    else:
        text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def require_int(flag: str, value: object, lowest: int, remedy: str = "", *, highest: int) -> None:
    ok = isinstance(value, int) and not isinstance(value, bool)
    require(ok and value >= lowest, flag, f"a whole number >= {lowest}", value, remedy)  # type: ignore[operator]
    require(value <= highest, flag, f"a whole number of at most {highest}", value)  # type: ignore[operator]


def require_length(flag: str, value: object, lowest: int = 1) -> None:
    """A length in tokens."""
    require_int(flag, value, lowest, highest=LONGEST)


def require_room(n_prompts: int, n_tokens: int) -> None:
    """Refuse prompts of `n_tokens` in total that would not fit into memory; the line shows the arithmetic."""
    n_bytes = n_tokens * _ID_BYTES
    if n_bytes > _PROMPT_BYTES:
        raise UsageError(
            f"{n_prompts} prompts of {n_tokens / max(n_prompts, 1):.0f} tokens are {n_tokens} token ids of {_ID_BYTES} "
            f"bytes, {n_bytes / 1e9:.1f} GB: more than the {_PROMPT_BYTES / 1e9:.0f} GB that a run may draw; "
            "lower --num-prompts or the input length"
        )


def require_seconds(flag: str, value: object, remedy: str) -> None:
    require(is_number(value) and 0 <= float(value) < 1e9, flag, "seconds >= 0 and below 1e9", value, remedy)  # type: ignore[arg-type]
