"""What a prompt can be: text, token ids, the messages of a chat, a batch of texts, or a query with its documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Messages", "Prompt", "Ranking", "Texts", "prompt_key"]

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


@dataclass(frozen=True)
class Texts:
    """Several inputs of one request for embeddings, kept as the JSON list that is sent."""

    json: str

    @classmethod
    def of(cls, texts: Sequence[str | Sequence[int]]) -> Texts:
        """Of the texts themselves, or of the token ids of each."""
        return cls(_encode([text if isinstance(text, str) else list(text) for text in texts]))


@dataclass(frozen=True)
class Ranking:
    """A query and the documents to rank, kept as JSON text `[query, [documents]]`."""

    json: str

    @classmethod
    def of(cls, query: str, documents: Sequence[str]) -> Ranking:
        """Of the texts themselves."""
        return cls(_encode([query, list(documents)]))

    def parts(self) -> tuple[str, list[str]]:
        """Query and documents again."""
        query, documents = json.loads(self.json)
        return query, documents


Prompt = str | Sequence[int] | Messages | Texts | Ranking
"""Text, token ids, messages of a chat, texts, or a query with documents."""


def prompt_key(prompt: Prompt) -> bytes:
    """Bytes that are equal for equal prompts of one kind."""
    if isinstance(prompt, (Messages, Texts, Ranking)):
        return prompt.json.encode(errors="surrogatepass")
    if isinstance(prompt, str):
        return prompt.encode(errors="surrogatepass")
    return _encode(list(prompt)).encode()
