"""What the messages of a dataset become: a chat's messages, or for completions the text of a chat template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan
from tokenclock.workload.chat_template import ChatTemplate, find_template
from tokenclock.workload.datasets.measure import LengthMeter
from tokenclock.workload.datasets.rows import Row
from tokenclock.workload.messages import Messages, Prompt

__all__ = ["ChatForm"]

_BATCH = 128  # rows tokenized at a time

ChatRow = tuple[list[dict[str, Any]], int]  # messages, output length


class ChatForm:
    """Makes prompts of messages for one plan."""

    def __init__(self, plan: ServingPlan, meter: LengthMeter, *, template: bool) -> None:
        """template: completions get the tokenizer's chat template around each prompt, where it has one."""
        self._chat = plan.endpoint.takes_messages
        self._meter = meter
        source = meter.tokenizer.source if meter.tokenizer is not None else None
        self._template = self._find(source, wanted=template)
        self._bare = template and self._template is None and not self._chat

    def _find(self, source: str | None, *, wanted: bool) -> ChatTemplate | None:
        if self._chat:  # only the length follows from it, which is not worth an error
            try:
                return find_template(source)
            except UsageError:
                return None
        return find_template(source) if wanted else None

    def notes(self) -> list[str]:
        """One line where completions should have a template and have none."""
        if not self._bare:
            return []
        return ["no chat template (--tokenizer DIR with one): the text of a prompt's messages is sent as it is"]

    def rows(self, given: Iterable[ChatRow]) -> Iterator[Row]:
        """The rows to send, with the length the server will count where that can be known."""
        source = iter(given)
        while batch := list(islice(source, _BATCH)):
            made = [self._make(messages) for messages, _ in batch]
            known = [text for _, text in made if text is not None] if self._meter.exact else []
            counts = iter(self._meter.counts(known, special=not self._chat).tolist() if known else [])
            for (messages, osl), (prompt, text) in zip(batch, made, strict=True):
                isl = next(counts) if known and text is not None else -1
                yield Row(prompt, osl, isl, _system(messages))

    def _make(self, messages: list[dict[str, Any]]) -> tuple[Prompt, str | None]:
        """The prompt, and the text that the server's tokenizer will see (None where only the server knows)."""
        if self._chat:
            seen = self._template.render(messages) if self._template is not None and not _parts(messages) else None
            only = messages[0] if len(messages) == 1 else {}
            plain = set(only) == {"role", "content"} and only["role"] == "user" and isinstance(only["content"], str)
            return (only["content"] if plain else Messages.of(messages)), seen
        if _parts(messages):
            raise UsageError("messages with pictures or other parts need --backend openai-chat")
        if self._template is None:
            text = "\n\n".join(message["content"] for message in messages)
        else:
            text = self._template.render(messages)
            if self._adds_begin(self._template.bos):  # the server puts one in front of every completion prompt
                text = text.removeprefix(self._template.bos)
        return text, text

    def _adds_begin(self, bos: str) -> bool:
        return bool(bos) and int(self._meter.counts([""], special=True)[0]) > 0


def _parts(messages: Sequence[dict[str, Any]]) -> bool:
    return any(not isinstance(message["content"], str) for message in messages)


def _system(messages: Sequence[dict[str, Any]]) -> str:
    first = messages[0]
    return str(first["content"]) if first["role"] in ("system", "developer") and len(messages) > 1 else ""
