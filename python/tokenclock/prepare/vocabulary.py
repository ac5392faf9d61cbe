"""The token ids that may be drawn: a tokenizer's ordinary ones, or a range where there is no tokenizer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.prepare.plan import LARGEST_VOCABULARY, PreparePlan
from tokenclock.workload.tokenizer import Tokenizer, read_tokenizer

__all__ = ["Vocabulary", "find_vocabulary"]

_LOWEST_ID = 3  # below lie padding, begin and end of text in most vocabularies


@dataclass(frozen=True)
class Vocabulary:
    """What rows are drawn from."""

    size: int  # of the base vocabulary, which the original draws from
    choices: npt.NDArray[np.int32]  # ids that may be drawn
    eos_ids: tuple[int, ...]
    tokenizer: Tokenizer | None
    said: str  # in words, for the manifest


def find_vocabulary(plan: PreparePlan) -> Vocabulary:
    """The ids to draw. Special and added tokens and --eos-id are left out, and without a tokenizer also ids below 3.

    Raises UsageError where there is neither a tokenizer nor a vocabulary size, or nothing is left to draw.
    """
    if plan.tokenizer is not None:
        tokenizer = read_tokenizer(plan.tokenizer, mode=plan.tokenizer_mode, trust=plan.trust_remote_code)
        eos = tuple(dict.fromkeys([*plan.eos_ids, *([] if tokenizer.eos_id is None else [tokenizer.eos_id])]))
        choices = _without(tokenizer.ordinary_ids, eos)
        if plan.vocab_size is not None:
            choices = choices[choices < plan.vocab_size]
        size = min(tokenizer.vocab_size, plan.vocab_size or tokenizer.vocab_size)
        found = Vocabulary(size, choices, eos, tokenizer, f"ordinary tokens of {plan.tokenizer}")
    elif plan.vocab_size is not None:
        choices = _without(np.arange(_LOWEST_ID, plan.vocab_size, dtype=np.int32), plan.eos_ids)
        found = Vocabulary(plan.vocab_size, choices, plan.eos_ids, None, f"ids {_LOWEST_ID}..{plan.vocab_size - 1}")
    else:
        raise UsageError(
            "--tokenizer DIR or --vocab-size N is needed: token ids are drawn below the size of a vocabulary"
        )
    if len(found.choices) == 0:
        raise UsageError("no token id is left to draw; raise --vocab-size or leave --eos-id out")
    if int(found.choices.max()) >= LARGEST_VOCABULARY:
        raise UsageError(f"token ids must be below {LARGEST_VOCABULARY}, got {int(found.choices.max())}")
    return found


def _without(ids: npt.NDArray[np.int32], left_out: tuple[int, ...]) -> npt.NDArray[np.int32]:
    return ids[~np.isin(ids, left_out)] if left_out else ids
