"""Prompts of asked lengths: token ids, text fitted to a tokenizer, or words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from tokenclock.workload.tokenizer import Tokenizer
from tokenclock.workload.words import WORDS

__all__ = ["TokenPrompts", "draw_token_prompts", "draw_word_prompts", "fit_text_prompts"]

Ids = npt.NDArray[np.int32]
_ROUNDS = 20  # of redrawing what came out wrong
_PIECE = 1 << 20  # ids drawn at a time


class TokenPrompts(Sequence[list[int]]):
    """Prompts of token ids over one flat array: a row becomes a list only when it is asked for."""

    def __init__(self, flat: Ids, offsets: npt.NDArray[np.int64]) -> None:
        """flat: int32[sum of lengths]; offsets: int64[n+1], row i is flat[offsets[i]:offsets[i+1]]."""
        self.flat, self.offsets = flat, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> list[int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...
    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        return self.flat[self.offsets[row] : self.offsets[row + 1]].tolist()  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[list[int]]:
        return (self[row] for row in range(len(self)))


def draw_token_prompts(
    generator: np.random.Generator, choices: Ids, lengths: npt.NDArray[np.int32], prefix: Ids, taken: set[bytes]
) -> TokenPrompts:
    """One row per length: `prefix`, then so many ids of `choices`; rows differ from each other and from `taken`.

    `taken` gains the bytes of each drawn part. Where `choices` are too few for distinct rows, some repeat and `taken`
    gains fewer entries than rows were drawn.
    """
    offsets = np.concatenate(([0], np.cumsum(lengths.astype(np.int64) + len(prefix))))
    flat = np.empty(int(offsets[-1]), dtype=np.int32)
    starts = offsets[:-1] + len(prefix)
    drawn = _draw_ids(generator, choices, int(lengths.sum(dtype=np.int64)))
    cursor = 0
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        row = drawn[cursor : cursor + length]
        cursor += length
        for _ in range(_ROUNDS):
            if row.tobytes() not in taken:
                break
            row = choices[generator.integers(len(choices), size=length)]
        taken.add(row.tobytes())
        flat[start - len(prefix) : start] = prefix
        flat[start : start + length] = row
    return TokenPrompts(flat, offsets)


def _draw_ids(generator: np.random.Generator, choices: Ids, count: int) -> Ids:
    """`count` of `choices`, in pieces: the generator's own numbers take twice the room of what they pick."""
    drawn = np.empty(count, dtype=np.int32)
    for start in range(0, count, _PIECE):
        piece = drawn[start : start + _PIECE]
        piece[:] = choices[generator.integers(len(choices), size=len(piece))]
    return drawn


def draw_word_prompts(
    generator: np.random.Generator, lengths: npt.NDArray[np.int32], prefix: Ids, taken: set[bytes]
) -> list[str]:
    """One text per length: the prefix's words (indices into WORDS), then `length` random ones; distinct as above."""
    rows = draw_token_prompts(generator, np.arange(len(WORDS), dtype=np.int32), lengths, prefix, taken)
    return [" ".join([WORDS[index] for index in row]) for row in rows]


def fit_text_prompts(
    generator: np.random.Generator,
    tokenizer: Tokenizer,
    pool: Ids | Callable[[np.random.Generator, int], list[int]],
    targets: npt.NDArray[np.int32],
    prefix: Ids,
    taken: set[bytes],
    *,
    special: bool,
) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Texts that the tokenizer counts as `targets` tokens (prefix and, if `special`, special tokens included).

    Decoding ids and encoding the text again need not give the same count, so each text is measured and corrected: its
    tail gains or loses tokens until the count holds, 20 rounds at most. Texts differ from each other and from `taken`
    (their UTF-8 bytes, which it gains). `pool`: ids to draw from one by one, or a function that draws so many.

    Returns:
        the texts, and the counts reached, int32[n]: equal to `targets` but for rows that never held.
    """
    overhead = int(tokenizer.counts([""], special=special)[0]) + len(prefix)
    rows = [_draw(generator, pool, max(1, target - overhead)) for target in targets.tolist()]
    shared = prefix.tolist()
    texts, reached = [""] * len(rows), np.full(len(rows), np.iinfo(np.int32).max, dtype=np.int32)
    open_rows = list(range(len(rows)))
    for round_number in range(_ROUNDS):
        candidates = tokenizer.texts([shared + rows[row] for row in open_rows])
        counts = tokenizer.counts(candidates, special=special)
        still_open = []
        for row, text, count in zip(open_rows, candidates, counts.tolist(), strict=True):
            missing = int(targets[row]) - count
            fresh = text.encode(errors="replace") not in taken
            if fresh and abs(missing) < abs(int(targets[row]) - int(reached[row])):
                texts[row], reached[row] = text, count
            if missing == 0 and fresh:
                taken.add(text.encode(errors="replace"))
                continue
            still_open.append(row)
            length = max(1, len(rows[row]) + missing)
            renewed = length if round_number % 4 == 3 else min(length, 1 + max(0, missing))
            rows[row] = rows[row][: length - renewed] + _draw(generator, pool, renewed)
        open_rows = still_open
        if not open_rows:
            break
    for row in open_rows:  # the nearest that was seen, or for want of a distinct text the last one drawn
        if not texts[row]:
            texts[row] = tokenizer.texts([shared + rows[row]])[0]
            reached[row] = tokenizer.counts([texts[row]], special=special)[0]
        taken.add(texts[row].encode(errors="replace"))
    return texts, reached


def _draw(
    generator: np.random.Generator, pool: Ids | Callable[[np.random.Generator, int], list[int]], count: int
) -> list[int]:
    if callable(pool):
        return pool(generator, count)
    return pool[generator.integers(len(pool), size=count)].tolist()  # type: ignore[no-any-return]
