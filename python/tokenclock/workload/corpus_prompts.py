"""Token ids cut from the packaged text, which prompts are fitted from where there is a tokenizer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tokenclock.workload.corpus import CORPUS
from tokenclock.workload.prompts import Ids
from tokenclock.workload.tokenizer import Tokenizer

__all__ = ["corpus_ids", "drawer"]


def corpus_ids(tokenizer: Tokenizer) -> Ids:
    """The packaged text as token ids."""
    return np.array(tokenizer.encode(CORPUS), dtype=np.int32)


def drawer(ids: Ids) -> Callable[[np.random.Generator, int], list[int]]:
    """A function that draws `count` successive ids of a text from a random start, going round at its end."""
    n = len(ids)
    return lambda generator, count: ids[(int(generator.integers(n)) + np.arange(count)) % n].tolist()
