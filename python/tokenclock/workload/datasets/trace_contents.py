"""Contents for rows of which a trace tells lengths only: token ids that rows with the same hash ids share.

Each block of 512 tokens has a key, which follows from its hash id, or where it has none from its row and place; each id
follows from its block's key and its place there. So rows share exactly the beginnings that the trace's rows shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tokenclock.workload.datasets.trace import BLOCK_TOKENS, Trace
from tokenclock.workload.kinds import PromptKind
from tokenclock.workload.messages import Prompt
from tokenclock.workload.prompts import TokenPrompts, fit_text_prompts
from tokenclock.workload.words import WORDS

__all__ = ["shares_beginnings", "trace_prompts"]

Ids = npt.NDArray[np.int32]
_Keys = npt.NDArray[np.uint64]
_STEP = np.uint64(0x9E3779B97F4A7C15)  # of splitmix64
_MIX = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_OWN_BLOCKS = np.uint64(1 << 63)  # sets the keys of blocks without a hash id apart from all others


def shares_beginnings(trace: Trace) -> bool:
    """Whether any rows begin with the same block."""
    firsts = [ids[0] for ids in trace.hash_ids or () if ids]
    return len(set(firsts)) < len(firsts)


def trace_prompts(
    trace: Trace, kind: PromptKind, generator: np.random.Generator
) -> tuple[Sequence[Prompt], npt.NDArray[np.int32]]:
    """A prompt for each row, and the token counts they have (-1: unknown).

    generator: its first number sets this run's contents apart; text is fitted with it.
    """
    salt = generator.integers(1 << 63, dtype=np.uint64)
    choices, isl = kind.choices, trace.isl.astype(np.int32)
    rows = _rows(trace, choices, salt)
    if kind.form == "ids":
        offsets = np.concatenate(([0], np.cumsum(trace.isl)))
        flat = np.empty(int(offsets[-1]), dtype=np.int32)
        for start, ids in zip(offsets[:-1].tolist(), rows, strict=True):
            flat[start : start + len(ids)] = ids
        return TokenPrompts(flat, offsets), isl
    if kind.tokenizer is None:
        return [" ".join([WORDS[index] for index in ids.tolist()]) for ids in rows], np.full_like(isl, -1)
    return _fitted(trace, kind, generator, rows)


def _rows(trace: Trace, choices: Ids, salt: np.uint64) -> Iterator[Ids]:
    hashes = trace.hash_ids or [()] * len(trace)
    for row, (length, ids) in enumerate(zip(trace.isl.tolist(), hashes, strict=True)):
        yield _ids(_block_keys(row, length, ids, salt), length, choices)


def _block_keys(row: int, length: int, hash_ids: Sequence[int], salt: np.uint64) -> _Keys:
    n_blocks = -(-length // BLOCK_TOKENS)
    own = _mixed(np.array([row], dtype=np.uint64) ^ salt) ^ _OWN_BLOCKS
    keys = _mixed(own + np.arange(n_blocks, dtype=np.uint64))
    shared = np.asarray(hash_ids[:n_blocks], dtype=np.int64).astype(np.uint64)
    keys[: len(shared)] = _mixed(_mixed(shared) ^ salt)
    return keys


def _ids(keys: _Keys, length: int, choices: Ids) -> Ids:
    places = np.arange(1, BLOCK_TOKENS + 1, dtype=np.uint64) * _STEP
    drawn = _mixed((keys[:, None] + places[None, :]).ravel()[:length])
    ids: Ids = choices[(drawn % np.uint64(len(choices))).astype(np.int64)]
    return ids


def _mixed(values: _Keys) -> _Keys:
    """splitmix64's finaliser: neighbouring numbers come out unrelated."""
    mixed: _Keys = values.copy()
    for shift, factor in _MIX:
        mixed ^= mixed >> shift
        mixed *= factor
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _fitted(
    trace: Trace, kind: PromptKind, generator: np.random.Generator, rows: Iterator[Ids]
) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Text of exactly the asked tokens: the last block gives way, and rows that are the same stay the same."""
    assert kind.tokenizer is not None
    texts: list[str] = []
    reached = np.empty(len(trace), dtype=np.int32)
    known: dict[tuple[int, ...], tuple[str, int]] = {}
    hashes, taken = trace.hash_ids or [()] * len(trace), set[bytes]()
    for row, (ids, hash_ids) in enumerate(zip(rows, hashes, strict=True)):
        whole = len(hash_ids) * BLOCK_TOKENS >= len(ids)
        name = (len(ids), *hash_ids) if whole else (-1, row)
        if name not in known:
            n_kept = (len(ids) - 1) // BLOCK_TOKENS * BLOCK_TOKENS
            targets = np.array([len(ids)], dtype=np.int32)
            fitted, counts = fit_text_prompts(
                generator, kind.tokenizer, kind.choices, targets, ids[:n_kept], taken, special=kind.special
            )
            known[name] = (fitted[0], int(counts[0]))
        text, reached[row] = known[name]
        texts.append(text)
        if not whole:
            del known[name]
    return texts, reached
