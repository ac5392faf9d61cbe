"""What a prompt can be: text, token ids, or the messages of a chat."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Messages", "Prompt", "prompt_key"]

_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Messages:
    """The `messages` of a chat request, kept as the JSON text that is sent."""

    json: str

    @classmethod
    def of(cls, messages: Sequence[Mapping[str, Any]]) -> Messages:
        """Of messages as the chat API takes them: `role`, and `content` as text or as a list of parts."""
        return cls(_encode([dict(message) for message in messages]))

    def to_list(self) -> list[dict[str, Any]]:
        """The messages again, as dicts."""
        messages: list[dict[str, Any]] = json.loads(self.json)
        return messages


Prompt = str | Sequence[int] | Messages
"""Text, token ids, or messages of a chat."""


def prompt_key(prompt: Prompt) -> bytes:
    """Bytes that are equal for equal prompts of one kind."""
    if isinstance(prompt, Messages):
        return prompt.json.encode(errors="surrogatepass")
    if isinstance(prompt, str):
        return prompt.encode(errors="surrogatepass")
    return _encode(list(prompt)).encode()
