"""Prompts that begin with one of several prefixes: how much of a load a prefix cache can know beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenclock.workload.kinds import PromptKind
from tokenclock.workload.messages import Prompt
from tokenclock.workload.prompts import TokenPrompts

__all__ = ["draw_behind", "pick_prefixes"]

Ids = npt.NDArray[np.int32]


def pick_prefixes(generator: np.random.Generator, count: int, n_prefixes: int, zipf: float) -> npt.NDArray[np.int64]:
    """A prefix for each of `count` rows, int64: number k, from 0, in proportion to (k + 1) ** -zipf."""
    shares = np.arange(1, n_prefixes + 1, dtype=np.float64) ** -zipf
    return generator.choice(n_prefixes, size=count, p=shares / shares.sum()).astype(np.int64)


def draw_behind(
    kind: PromptKind,
    generator: np.random.Generator,
    lengths: Ids,
    prefixes: Ids,
    picked: npt.NDArray[np.int64],
    taken: set[bytes],
) -> tuple[Sequence[Prompt], Ids]:
    """As `PromptKind.draw`, row i behind `prefixes[picked[i]]`; drawn prefix by prefix, in the order of their rows."""
    prompts: list[Prompt] = [""] * len(lengths)
    realised = np.empty(len(lengths), dtype=np.int32)
    for number in np.unique(picked).tolist():
        rows = np.flatnonzero(picked == number)
        drawn, realised[rows] = kind.draw(generator, lengths[rows], prefixes[number], taken)
        for row, prompt in zip(rows.tolist(), drawn, strict=True):
            prompts[row] = prompt
    if kind.form != "ids":
        return prompts, realised
    offsets = np.concatenate(([0], np.cumsum(realised, dtype=np.int64)))
    return TokenPrompts(np.concatenate([np.asarray(prompt, dtype=np.int32) for prompt in prompts]), offsets), realised
