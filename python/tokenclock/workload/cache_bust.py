"""A nonce that sets a run's prompts apart from those of every other run, so that no prefix cache knows them.

Made-up contents follow from it (`streams.content_stream`). Recorded ones get it in front: as text, or in place of eight
token ids, so that their number stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenclock.workload.messages import Messages, Prompt
from tokenclock.workload.prompts import TokenPrompts
from tokenclock.workload.streams import nonce_numbers

__all__ = ["busted"]

_IDS = 8  # token ids that give way


def busted(prompts: Sequence[Prompt], nonce: str) -> tuple[Sequence[Prompt], npt.NDArray[np.bool_]]:
    """The prompts with the nonce at their beginning, and for each whether its number of tokens is still known."""
    if isinstance(prompts, TokenPrompts):
        return _busted_ids(prompts, nonce), np.ones(len(prompts), dtype=np.bool_)
    return [_busted(prompt, nonce) for prompt in prompts], np.zeros(len(prompts), dtype=np.bool_)


def _busted(prompt: Prompt, nonce: str) -> Prompt:
    mark = f"[{nonce}] "
    if isinstance(prompt, str):
        return mark + prompt
    if not isinstance(prompt, Messages):
        return prompt
    messages = prompt.to_list()
    first = messages[0]
    if isinstance(first["content"], str):
        first["content"] = mark + first["content"]
    else:
        first["content"] = [{"type": "text", "text": mark}, *first["content"]]
    return Messages.of(messages)


def _busted_ids(prompts: TokenPrompts, nonce: str) -> TokenPrompts:
    """Ids of the rows themselves, so that each is in the vocabulary; the first one, often a mark, stays."""
    known = np.unique(prompts.flat)
    drawn = known[np.random.default_rng(nonce_numbers(nonce)).integers(len(known), size=_IDS)]
    flat = prompts.flat.copy()
    for start, end in zip(prompts.offsets[:-1].tolist(), prompts.offsets[1:].tolist(), strict=True):
        at = start + (end - start > _IDS)
        n = min(_IDS, end - at)
        flat[at : at + n] = drawn[:n]
    return TokenPrompts(flat, prompts.offsets)
