"""What an API that the native client does not know looks like: bodies out, answers in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenclock.plan import ServingPlan

__all__ = ["Answer", "EndpointKind", "without_absent"]


@dataclass(frozen=True)
class Answer:
    """What one event of a stream, or one reply in one piece, says."""

    text: str = ""  # generated content; not empty: a token event
    is_end: bool = False  # the answer is whole with it
    finish_reason: str | None = None  # stop, length, ...
    error: str | None = None
    isl: int = -1  # tokens of the prompt by the server's count; -1: not said
    osl: int = -1  # tokens generated, likewise
    cached: int = -1  # tokens of the prompt that came out of a cache, likewise
    response_id: str = ""


@dataclass(frozen=True)
class EndpointKind:
    """One API.

    Args:
        path: default path below the base URL.
        streams: whether answers can be event streams.
        generates: whether answers are generated tokens; else a request has one latency and no output.
        fields: (plan, model, prompt, output length, form) -> the body; `form` is what the prompt is: text, ids,
            messages, texts or ranking; model, prompt and length may be stand-ins that are filled in later.
        forms: the forms that the body can hold.
        read: the JSON of an event or of a whole reply -> what it says.
        sends: the fields of the plan's generation group that the body carries.
        whole_mark: text that the beginning of every good reply in one piece has, quotes included.
        ends_with_stream: a stream has no end mark of its own: where it ends, the answer does.
    """

    path: str
    streams: bool
    generates: bool
    fields: Callable[[ServingPlan, Any, Any, Any, str], dict[str, Any]]
    forms: tuple[str, ...]
    sends: tuple[str, ...]
    read: Callable[[Any], Answer]
    whole_mark: str
    ends_with_stream: bool = False


def without_absent(fields: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, the user's `--extra-body` over them, without those that are None."""
    return {key: value for key, value in {**fields, **extra}.items() if value is not None}


def count(value: Any) -> int:
    """A number of tokens in a server's answer; -1 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1
