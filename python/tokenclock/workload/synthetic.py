"""The dataset `synthetic` of `profile`: unique prompts with shared beginnings, used in turn until the run ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from tokenclock.plan import ServingPlan, SyntheticDataset
from tokenclock.workload.assemble import assemble
from tokenclock.workload.corpus_prompts import corpus_ids, drawer
from tokenclock.workload.kinds import choose_kind, notes_on_outcome
from tokenclock.workload.messages import Prompt, prompt_key
from tokenclock.workload.prompts import Ids, TokenPrompts, draw_token_prompts, fit_text_prompts
from tokenclock.workload.realised import RecipePrompts, Workload
from tokenclock.workload.streams import content_stream, stream
from tokenclock.workload.tokenizer import Tokenizer, find_tokenizer
from tokenclock.workload.words import WORDS

__all__ = ["InTurn", "asked_lengths", "build_synthetic", "normal_lengths"]

Lengths = npt.NDArray[np.int32]
Drawn = tuple[Sequence[Prompt], Lengths]
# generator, lengths, index of each prompt's beginning (or None), what was drawn before -> prompts and their lengths
Draw = Callable[[np.random.Generator, Lengths, Lengths, set[bytes]], Drawn]
DrawRows = Callable[[np.random.Generator, Lengths, Lengths, set[bytes]], TokenPrompts]


def build_synthetic(plan: ServingPlan, dataset: SyntheticDataset, n_vocab: int | None) -> Workload:
    """Draw the unique prompts from the plan's seed and deal them in turn.

    n_vocab: vocabulary size the server reports, used for token ids when there is neither a tokenizer nor a size given.
    """
    load, n_unique = plan.load, min(dataset.n_entries, plan.load.num_prompts)
    tokenizer = find_tokenizer(plan)
    draw, notes = _way_to_draw(plan, dataset, tokenizer, n_vocab)
    lengths = normal_lengths(stream("input_lengths", load.seed), n_unique, dataset.input_mean, dataset.input_stddev)
    osl = asked_lengths(stream("output_lengths", load.seed), n_unique, dataset.output_mean, dataset.output_stddev)
    taken: set[bytes] = set()
    unique, realised = draw(content_stream("content", plan), lengths, _beginnings(plan, dataset, n_unique), taken)
    isl = lengths + np.int32(dataset.prefix_len if dataset.n_prefixes else 0)
    turn = np.arange(load.num_prompts) % n_unique

    def draw_spares(count: int) -> list[tuple[Prompt, int]]:
        lengths_stream, content = stream("spare_lengths", load.seed), content_stream("spare_content", plan)
        unlike, spares = set(taken), []
        for _ in range(count):
            length = normal_lengths(lengths_stream, 1, dataset.input_mean, dataset.input_stddev)
            output = asked_lengths(lengths_stream, 1, dataset.output_mean, dataset.output_stddev)
            first = np.full(1, 0 if dataset.n_prefixes else -1, dtype=np.int32)
            spares.append((draw(content, length, first, unlike)[0][0], int(output[0])))
        return spares

    outcome = notes_on_outcome(isl, realised, n_unique - len(taken), "raise --synthetic-input-tokens-mean")
    return assemble(
        plan,
        InTurn(unique, load.num_prompts),
        isl=isl[turn],
        isl_realised=realised[turn],
        osl=osl[turn],
        draw_spares=draw_spares,
        tokenizer=tokenizer,
        notes=(*notes, *outcome),
        shared_prefix=dataset.n_prefixes > 0,
    )


def normal_lengths(generator: np.random.Generator, count: int, mean: float, stddev: float) -> Lengths:
    """Whole parts of `count` normal draws, 1 at least, int32."""
    return np.maximum(1, generator.normal(mean, stddev, size=count)).astype(np.int32)


class InTurn(RecipePrompts):
    """Request i has prompt i modulo their number: however many are sent, each is kept once."""

    def __init__(self, unique: Sequence[Prompt], count: int) -> None:
        self._unique, self._count = unique, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Prompt: ...
    @overload
    def __getitem__(self, index: slice) -> list[Prompt]: ...
    def __getitem__(self, index: int | slice) -> Prompt | list[Prompt]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(self._count))]
        return self._unique[range(self._count)[index] % len(self._unique)]

    @property
    def recipes(self) -> list[bytes]:
        """The unique prompts, and how many times they are gone through follows from the lengths beside."""
        return [prompt_key(prompt) for prompt in self._unique]


def asked_lengths(generator: np.random.Generator, count: int, mean: float | None, stddev: float) -> Lengths:
    """Tokens to ask for, int32[count]; -1 where no length is asked."""
    if mean is None:
        return np.full(count, -1, dtype=np.int32)
    return normal_lengths(generator, count, mean, stddev)


def _beginnings(plan: ServingPlan, dataset: SyntheticDataset, count: int) -> Lengths:
    """Which shared beginning each prompt has, -1 for none, int32[count]."""
    if dataset.n_prefixes == 0:
        return np.full(count, -1, dtype=np.int32)
    return content_stream("rows", plan).integers(dataset.n_prefixes, size=count).astype(np.int32)


def _way_to_draw(
    plan: ServingPlan, dataset: SyntheticDataset, tokenizer: Tokenizer | None, n_vocab: int | None
) -> tuple[Draw, Sequence[str]]:
    """How prompts are drawn, and what a user should know of it: the packaged text fitted to the tokenizer; else token
    ids for completions, which are exact, and for a chat common words."""
    generator = content_stream("prefix", plan)
    if tokenizer is not None:
        kind_notes = choose_kind(tokenizer, chat=plan.endpoint.is_chat).notes
        return _fitted(generator, dataset, tokenizer, special=not plan.endpoint.is_chat), kind_notes
    kind = choose_kind(None, chat=plan.endpoint.wants_text, vocab_size=dataset.vocab_size, n_vocab=n_vocab)
    if plan.endpoint.wants_text:
        return _words(generator, dataset), kind.notes
    return _ids(generator, dataset, kind.choices), kind.notes


def _fitted(generator: np.random.Generator, dataset: SyntheticDataset, tokenizer: Tokenizer, *, special: bool) -> Draw:
    ids = corpus_ids(tokenizer)
    draw_ids = drawer(ids)
    pool = [np.array(draw_ids(generator, dataset.prefix_len), dtype=np.int32) for _ in range(dataset.n_prefixes)]

    def draw(generator: np.random.Generator, lengths: Lengths, beginnings: Lengths, taken: set[bytes]) -> Drawn:
        texts, reached = [""] * len(lengths), np.empty_like(lengths)
        for beginning in np.unique(beginnings).tolist():
            rows = np.flatnonzero(beginnings == beginning)
            prefix = pool[beginning] if beginning >= 0 else ids[:0]
            found, counts = fit_text_prompts(
                generator, tokenizer, draw_ids, lengths[rows] + np.int32(len(prefix)), prefix, taken, special=special
            )
            for row, text in zip(rows.tolist(), found, strict=True):
                texts[row] = text
            reached[rows] = counts
        return texts, reached

    return draw


def _words(generator: np.random.Generator, dataset: SyntheticDataset) -> Draw:
    """Common words, most of which are one token to most tokenizers."""
    draw_rows = _rows(generator, dataset, np.arange(len(WORDS), dtype=np.int32))

    def draw(generator: np.random.Generator, lengths: Lengths, beginnings: Lengths, taken: set[bytes]) -> Drawn:
        rows = draw_rows(generator, lengths, beginnings, taken)
        return [" ".join(WORDS[index] for index in row) for row in rows], np.full_like(lengths, -1)

    return draw


def _ids(generator: np.random.Generator, dataset: SyntheticDataset, choices: Ids) -> Draw:
    draw_rows = _rows(generator, dataset, choices)

    def draw(generator: np.random.Generator, lengths: Lengths, beginnings: Lengths, taken: set[bytes]) -> Drawn:
        rows = draw_rows(generator, lengths, beginnings, taken)
        return rows, np.diff(rows.offsets).astype(np.int32)

    return draw


def _rows(generator: np.random.Generator, dataset: SyntheticDataset, choices: Ids) -> DrawRows:
    """Rows of `choices` behind one of the shared beginnings, which are drawn at once."""
    pool = [choices[generator.integers(len(choices), size=dataset.prefix_len)] for _ in range(dataset.n_prefixes)]
    nothing = choices[:0]

    def draw(generator: np.random.Generator, lengths: Lengths, beginnings: Lengths, taken: set[bytes]) -> TokenPrompts:
        rows = [
            draw_token_prompts(generator, choices, length[None], pool[index] if index >= 0 else nothing, taken).flat
            for length, index in zip(lengths, beginnings.tolist(), strict=True)
        ]
        offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows], dtype=np.int64)))
        return TokenPrompts(np.concatenate(rows), offsets)

    return draw
