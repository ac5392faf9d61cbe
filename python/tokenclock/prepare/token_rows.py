"""Token ids of synthetic rows, as the text of their JSON lists, drawn in pieces as they are written."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tokenclock.prepare.id_text import IdText
from tokenclock.prepare.plan import PreparePlan
from tokenclock.prepare.vocabulary import Vocabulary
from tokenclock.workload.streams import stream

__all__ = ["compat_row", "compat_rows", "token_texts", "zipf_weights"]

_PIECE = 1 << 19  # ids drawn at a time: some tens of MB with their text


def token_texts(plan: PreparePlan, vocabulary: Vocabulary, isl: npt.NDArray[np.int32]) -> Iterator[list[bytes]]:
    """The ids of each row, as `1,2,3`, in pieces of many rows: drawn alone from the choices, with replacement.

    isl: ids to draw for each row, the shared prefix not counted.
    """
    generator, choices = stream("content", plan.seed), vocabulary.choices
    writer = IdText(int(choices.max()))
    start, ends = 0, np.cumsum(isl, dtype=np.int64)
    while start < len(isl):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _PIECE, side="right")))
        count = int(ends[stop - 1]) - before
        flat = choices[generator.integers(len(choices), size=count)]
        yield writer.rows(flat, isl[start:stop])
        start = stop


def compat_rows(
    plan: PreparePlan, vocabulary: Vocabulary, isl: npt.NDArray[np.int32], generator: random.Random
) -> Iterator[list[int]]:
    """The original's rows: Python's own generator, seeded once; what is drawn after them goes on with it.

    Ids below the vocabulary size, all different within a row that is shorter than the vocabulary.
    """
    for length in isl.tolist():
        yield compat_row(generator, vocabulary.size, vocabulary.eos_ids, length)


def compat_row(generator: random.Random, size: int, eos_ids: tuple[int, ...], length: int) -> list[int]:
    """One row by the original's rule, end-of-text avoidance included.

    While every id of the end-of-text string is in the row, each occurrence of its first id becomes the next id.
    """
    row = generator.sample(range(size), length) if length < size else generator.choices(range(size), k=length)
    while eos_ids and set(eos_ids) <= set(row):
        first = eos_ids[0]
        row = [(value + 1) % size if value == first else value for value in row]
    return row


def zipf_weights(count: int, exponent: float) -> npt.NDArray[np.float64]:
    """Shares of `count` things, float64[count]: thing k (from 1) in proportion to k ** -exponent; 0 is uniform."""
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares
