"""What synthetic prompts are made of: text fitted to a tokenizer, token ids, or words; and how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenclock.workload.messages import Prompt
from tokenclock.workload.prompts import Ids, draw_token_prompts, draw_word_prompts, fit_text_prompts
from tokenclock.workload.tokenizer import Tokenizer, pool_for_text
from tokenclock.workload.words import WORDS

__all__ = ["PromptKind", "choose_kind", "notes_on_outcome"]

_LOWEST_ID = 3  # below lie padding, begin and end of text in most vocabularies
_ASSUMED_VOCABULARY = 10_000  # smaller than that of any model people serve


@dataclass(frozen=True)
class PromptKind:
    """What prompts are made of, and how they are drawn."""

    choices: Ids  # token ids, or indices into WORDS
    form: str  # ids | text | words
    notes: tuple[str, ...] = ()
    tokenizer: Tokenizer | None = None
    special: bool = False  # whether the server will add special tokens to a text

    def draw(
        self, generator: np.random.Generator, lengths: npt.NDArray[np.int32], prefix: Ids, taken: set[bytes]
    ) -> tuple[Sequence[Prompt], npt.NDArray[np.int32]]:
        """Prompts of `lengths` tokens behind the prefix, and the token counts they have (-1: unknown)."""
        targets = lengths + np.int32(len(prefix))
        if self.form == "ids":
            return draw_token_prompts(generator, self.choices, lengths, prefix, taken), targets
        if self.tokenizer is None:
            return draw_word_prompts(generator, lengths, prefix, taken), np.full_like(targets, -1)
        return fit_text_prompts(
            generator, self.tokenizer, self.choices, targets, prefix, taken, special=self.special
        )  # fmt: skip


def choose_kind(
    tokenizer: Tokenizer | None,
    *,
    chat: bool,
    tokenize_on_client: bool = False,
    vocab_size: int | None = None,
    n_vocab: int | None = None,
) -> PromptKind:
    """Text where a tokenizer can fit it; else token ids, which are exact; else, for chat, words.

    vocab_size: what the user says; n_vocab: what the server says, for ids when the user says nothing.
    """
    if tokenizer is not None:
        ids = tokenizer.ordinary_ids if tokenize_on_client else pool_for_text(tokenizer)
        if vocab_size is not None and np.any(ids < vocab_size):
            ids = ids[ids < vocab_size]
        if tokenize_on_client:
            return PromptKind(ids, "ids", tokenizer=tokenizer)
        notes = ("a chat template adds tokens that the asked input length does not count",) if chat else ()
        return PromptKind(ids, "text", notes, tokenizer, special=not chat)
    if chat and not tokenize_on_client:
        note = (
            "no tokenizer: prompts are common English words, one for each asked token; input lengths are the "
            "server's own counts, or approximate where it reports none (--tokenizer DIR makes them exact)"
        )
        return PromptKind(np.arange(len(WORDS), dtype=np.int32), "words", (note,))
    low, high, why = _id_range(vocab_size, n_vocab)
    note = f"no tokenizer: prompts are token ids {low}..{high - 1} ({why})"
    return PromptKind(np.arange(low, high, dtype=np.int32), "ids", (note,))


def _id_range(vocab_size: int | None, n_vocab: int | None) -> tuple[int, int, str]:
    """Token ids [low, high) to draw from, and where the bounds come from.

    A server's vocabulary size does not say which ids are special. They gather at both ends, so the lowest 256 and the
    highest 64th are left alone there; a size the user names is taken at its word.
    """
    if vocab_size is not None:
        return _LOWEST_ID, vocab_size, "--vocab-size"
    if n_vocab is not None and n_vocab >= 1024:
        return 256, n_vocab - n_vocab // 64, f"the server reports {n_vocab}; both ends are left out as special"
    return _LOWEST_ID, _ASSUMED_VOCABULARY, "assumed; --vocab-size says otherwise"


def notes_on_outcome(isl: Ids, realised: Ids, n_repeats: int, remedy: str) -> list[str]:
    """What to know of drawn prompts: lengths that could not be kept, and repeated prompts with their remedy."""
    notes = []
    known = realised >= 0
    n_wrong = int(np.count_nonzero((realised != isl) & known))
    if n_wrong:
        worst = int(np.abs(realised[known].astype(np.int64) - isl[known]).max())
        notes.append(
            f"{n_wrong} of {len(isl)} prompts could not be given the asked number of tokens (off by {worst} at most); "
            "send ids with --tokenize-on-client"
        )
    if n_repeats > 0:
        notes.append(
            f"{n_repeats} of {len(isl)} prompts repeat another one, which a prefix cache answers faster; {remedy}"
        )
    return notes
