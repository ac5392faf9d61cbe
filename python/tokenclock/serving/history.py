"""What a later turn of a conversation sends: everything said before, the server's answers among it, then its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tokenclock.workload.messages import Messages, Prompt

__all__ = ["AnswerIds", "History"]

AnswerIds = Callable[[str, int], list[int]]
"""An answer's text and its number of tokens -> the token ids that stand for it in a later turn's prompt."""


class History:
    """One conversation: chat messages, text, or token ids, as its first turn is."""

    def __init__(self, *, chat: bool, answer_ids: AnswerIds | None) -> None:
        """answer_ids: needed where turns are token ids."""
        self._chat, self._answer_ids = chat, answer_ids
        self._messages: list[dict[str, Any]] = []
        self._text = ""
        self._ids: list[int] = []

    def ask(self, turn: Prompt) -> Prompt:
        """The prompt that sends `turn` behind all that was said before."""
        if isinstance(turn, (str, Messages)):
            if self._chat:
                return self._ask_in_chat(turn)
            if isinstance(turn, Messages):
                raise TypeError("a completion's turns are text or token ids")
            self._text += turn
            return self._text
        assert isinstance(turn, Sequence)
        self._ids.extend(int(value) for value in turn)
        return list(self._ids)

    def _ask_in_chat(self, turn: str | Messages) -> Prompt:
        is_first = not self._messages
        self._messages += [{"role": "user", "content": turn}] if isinstance(turn, str) else turn.to_list()
        return turn if is_first else Messages.of(self._messages)

    def answered(self, text: str, n_tokens: int) -> None:
        """Take the server's answer in."""
        if self._ids:
            assert self._answer_ids is not None
            self._ids.extend(self._answer_ids(text, n_tokens))
        elif self._chat:
            self._messages.append({"role": "assistant", "content": text})
        else:
            self._text += text
