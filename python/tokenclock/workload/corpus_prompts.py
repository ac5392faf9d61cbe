"""Token ids cut from the packaged text, which prompts are fitted from where there is a tokenizer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tokenclock.workload.corpus import CORPUS
from tokenclock.workload.prompts import Ids
from tokenclock.workload.tokenizer import Tokenizer

__all__ = ["corpus_ids", "drawer"]

_PIECES = 6  # of an opening
_PIECE_IDS = 2  # successive ids of the text


def corpus_ids(tokenizer: Tokenizer) -> Ids:
    """The packaged text as token ids."""
    return np.array(tokenizer.encode(CORPUS), dtype=np.int32)


def drawer(ids: Ids) -> Callable[[np.random.Generator, int], list[int]]:
    """A function that draws `count` ids of a text: an opening of short pieces from anywhere, then running text.

    The running text alone begins at one of few places, so many prompts would begin alike and a prefix cache would know
    them. Six pieces of two ids each make openings of their own: of 3000 places there are more than 10 ** 20 of them.
    The running text goes round at the text's end.
    """
    n = len(ids)

    def draw(generator: np.random.Generator, count: int) -> list[int]:
        starts = generator.integers(n, size=_PIECES + 1)
        opening = (starts[:-1, None] + np.arange(_PIECE_IDS)).ravel()[:count]
        running = starts[-1] + np.arange(count - len(opening))
        return ids[np.concatenate((opening, running)) % n].tolist()  # type: ignore[no-any-return]

    return draw
