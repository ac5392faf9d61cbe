"""The dataset `random`: synthetic prompts of drawn lengths that need no network, and with no tokenizer no files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenclock.plan import ServingPlan
from tokenclock.workload.arrivals import asked_rates, due_times_ns
from tokenclock.workload.lengths import draw_lengths
from tokenclock.workload.prompts import Ids, draw_token_prompts, draw_word_prompts, fit_text_prompts
from tokenclock.workload.realised import Prompt, Workload, workload_sha256
from tokenclock.workload.streams import content_stream, stream
from tokenclock.workload.tokenizer import Tokenizer, find_tokenizer, pool_for_text
from tokenclock.workload.words import WORDS

__all__ = ["build_workload"]

_LOWEST_ID = 3  # below lie padding, begin and end of text in most vocabularies
_ASSUMED_VOCABULARY = 10_000  # smaller than that of any model people serve


def build_workload(plan: ServingPlan, *, n_vocab: int | None = None) -> Workload:
    """Draw every request of `plan` from its seed: same plan, same workload, whatever machine and day.

    n_vocab: vocabulary size the server reports, used for token ids when there is neither a tokenizer nor --vocab-size.
    Raises UsageError when a named tokenizer cannot be read.
    """
    load, dataset = plan.load, plan.dataset
    n, ratio = load.num_prompts, dataset.range_ratio
    tokenizer = find_tokenizer(plan)
    kind = _choose_kind(plan, tokenizer, n_vocab)
    lengths = draw_lengths(stream("input_lengths", load.seed), n, dataset.input_len, ratio)
    osl = draw_lengths(stream("output_lengths", load.seed), n, dataset.output_len, ratio)
    due_ns = due_times_ns(stream("arrivals", load.seed), n, asked_rates(load), load.burstiness)

    prefix = kind.choices[content_stream("prefix", plan).integers(len(kind.choices), size=dataset.prefix_len)]
    taken: set[bytes] = set()
    prompts, realised = kind.draw(content_stream("content", plan), lengths, prefix, taken)
    isl = lengths + np.int32(dataset.prefix_len)
    n_repeats = n - len(taken)

    def draw_spares(count: int) -> list[tuple[Prompt, int]]:
        lengths_stream, content = stream("spare_lengths", load.seed), content_stream("spare_content", plan)
        unlike, spares = set(taken), []
        for _ in range(count):
            length = draw_lengths(lengths_stream, 1, dataset.input_len, ratio)
            output = draw_lengths(lengths_stream, 1, dataset.output_len, ratio)
            spares.append((kind.draw(content, length, prefix, unlike)[0][0], int(output[0])))
        return spares

    return Workload(
        dataset=dataset.name,
        prompts=prompts,
        isl_requested=isl,
        isl_realised=realised,
        osl_requested=osl,
        t_due_ns=due_ns,
        sha256=workload_sha256(prompts, isl, osl, due_ns),
        tokenizer=tokenizer.source if tokenizer is not None else None,
        count_tokens=_counter(tokenizer) if tokenizer is not None else None,
        notes=(*kind.notes, *_notes_on_outcome(isl, realised, n_repeats)),
        draw_spares=draw_spares,
    )


def _counter(tokenizer: Tokenizer) -> Callable[[str], int]:
    return lambda text: int(tokenizer.counts([text], special=False)[0])


@dataclass(frozen=True)
class _Kind:
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


def _choose_kind(plan: ServingPlan, tokenizer: Tokenizer | None, n_vocab: int | None) -> _Kind:
    """Text where a tokenizer can fit it; else token ids, which are exact; else, for chat, words."""
    dataset, chat = plan.dataset, plan.endpoint.is_chat
    if tokenizer is not None:
        ids = tokenizer.ordinary_ids if dataset.tokenize_on_client else pool_for_text(tokenizer)
        if dataset.vocab_size is not None and np.any(ids < dataset.vocab_size):
            ids = ids[ids < dataset.vocab_size]
        if dataset.tokenize_on_client:
            return _Kind(ids, "ids", tokenizer=tokenizer)
        notes = ("a chat template adds tokens that the asked input length does not count",) if chat else ()
        return _Kind(ids, "text", notes, tokenizer, special=not chat)
    if chat and not dataset.tokenize_on_client:
        note = (
            "no tokenizer: chat prompts are common English words, one for each asked token; input lengths are the "
            "server's own counts, or approximate where it reports none (--tokenizer DIR makes them exact)"
        )
        return _Kind(np.arange(len(WORDS), dtype=np.int32), "words", (note,))
    low, high, why = _id_range(dataset.vocab_size, n_vocab)
    note = f"no tokenizer: prompts are token ids {low}..{high - 1} ({why})"
    return _Kind(np.arange(low, high, dtype=np.int32), "ids", (note,))


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


def _notes_on_outcome(isl: Ids, realised: Ids, n_repeats: int) -> list[str]:
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
            f"{n_repeats} of {len(isl)} prompts repeat another one, which a prefix cache answers faster; "
            "raise --random-input-len"
        )
    return notes
