"""The original's token ids, as `token_rows.compat_rows` draws them, many at a time.

`random.Random.sample` takes the next number of the Mersenne Twister that is below the vocabulary's size and not in the
row yet. NumPy has the same twister: numbers come from it in pieces, and only rows that meet one twice are gone through
number by number.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.prepare.id_text import IdText

__all__ = ["compat_texts", "draws_alike"]

Ids = npt.NDArray[np.int32]
_PIECE = 1 << 20  # numbers drawn at a time
_ROWS = 4096  # handed on at a time


def draws_alike(size: int, longest: int) -> bool:
    """Whether `sample` draws every row of up to `longest` ids in this way: from a vocabulary that is not small."""
    small = 21 + (4 ** math.ceil(math.log(longest * 3, 4)) if longest > 5 else 0)
    return small < size < 1 << 32 and longest < size


def compat_texts(seed: int, size: int, eos_ids: tuple[int, ...], isl: Ids) -> Iterator[list[bytes]]:
    """The ids of each row, as `1,2,3`, in pieces of many rows; only where `draws_alike` says yes.

    Args:
        seed: of Python's generator.
        size: of the vocabulary.
        eos_ids: of the end-of-text string; no row has all of them.
        isl: ids of each row.
    """
    twister, writer = _twister(seed), IdText(size)
    shift, avoided = np.uint64(32 - size.bit_length()), set(eos_ids)
    pending, known, at = np.zeros(0, np.int32), list[int](), 0
    for start in range(0, len(isl), _ROWS):
        lengths, rows = isl[start : start + _ROWS], list[Ids]()
        for length in lengths.tolist():
            while True:
                if len(known) - at >= length:
                    end, row = _next_row(known, at, length)
                    if row is None or len(row) == length:
                        break
                drawn = twister.random_raw(max(_PIECE, 2 * length)) >> shift
                pending = np.concatenate((pending[at:], drawn[drawn < size].astype(np.int32)))
                known, at = pending.tolist(), 0
            ids = pending[at:end] if row is None else np.array(row, np.int32)
            while avoided and avoided <= set(ids.tolist()):
                ids = np.where(ids == eos_ids[0], (ids + 1) % size, ids).astype(np.int32)
            rows.append(ids)
            at = end
        yield writer.rows(np.concatenate(rows), lengths)


def _next_row(known: list[int], at: int, length: int) -> tuple[int, list[int] | None]:
    """Where the row that begins at `at` ends, and its ids; None: all that lie there. Fewer ids: the numbers ran out."""
    end = at + length
    if len(set(known[at:end])) == length:
        return end, None
    seen = dict.fromkeys(known[at:end])
    while len(seen) < length and end < len(known):
        seen[known[end]] = None
        end += 1
    return end, list(seen)


def _twister(seed: int) -> np.random.MT19937:
    words = random.Random(seed).getstate()[1]
    twister = np.random.MT19937()
    state: Any = {"bit_generator": "MT19937", "state": {"key": np.array(words[:-1], np.uint32), "pos": words[-1]}}
    twister.state = state
    return twister
