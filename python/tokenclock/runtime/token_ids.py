"""The token ids that runtimes without a tokenizer are fed: drawn from a seed, the same on every rank."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

__all__ = ["draw_token_ids"]

_SPECIAL = 3  # begin, end, unknown or padding take the lowest ids in most vocabularies


def draw_token_ids(
    batch_size: int, length: int, vocab_size: int | None, seed: int, *, without: Collection[int] = ()
) -> npt.NDArray[np.int32]:
    """Ids drawn evenly from the whole vocabulary but its special ones.

    The original drew from the lowest hundred, which touches few rows of an embedding and few experts.

    Args:
        batch_size, length: shape of the result.
        vocab_size: exclusive upper bound; None: 1000, which every vocabulary in use has.
        seed: the same seed, shape and vocabulary give the same ids.
        without: ids never drawn (padding, end of sequence); of a vocabulary with nothing else, all are drawn.

    Returns:
        int32 (batch_size, length).
    """
    n_ids = vocab_size or 1000
    generator = np.random.default_rng([seed, batch_size, length])
    allowed = np.setdiff1d(
        np.arange(min(_SPECIAL, n_ids - 1), n_ids, dtype=np.int32), np.array(list(without), np.int32)
    )
    if allowed.size == 0:
        allowed = np.arange(n_ids, dtype=np.int32)
    return generator.choice(allowed, size=(batch_size, length)).astype(np.int32)
