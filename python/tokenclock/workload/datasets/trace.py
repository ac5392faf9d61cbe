"""A recorded trace once it is read: what was asked for and when, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tokenclock.workload.messages import Prompt

__all__ = ["BLOCK_TOKENS", "Trace"]

BLOCK_TOKENS = 512
"""Tokens that one hash id of a Mooncake trace stands for."""


@dataclass(frozen=True)
class Trace:
    """Columns of n rows. What a format does not tell is None, or where rows differ the mark of its column."""

    path: str
    form: str  # mooncake | burstgpt | azure | jsonl
    isl: npt.NDArray[np.int64]  # input tokens; -1 where the row has a text or messages of its own
    osl: npt.NDArray[np.int64]  # output tokens asked for
    t_ms: npt.NDArray[np.float64]  # ms from the trace's own zero; NaN where the row has none
    hash_ids: Sequence[Sequence[int]] | None = None  # of the row's blocks of tokens; rows that share ids begin alike
    prompts: Sequence[Prompt | None] | None = None  # contents, where the file has them
    session: npt.NDArray[np.int64] | None = None  # rows of one number form a conversation; -1: a row on its own
    delay_ms: npt.NDArray[np.float64] | None = None  # from the answer before to a later turn; NaN: none given
    lora: Sequence[str | None] | None = None  # the adapter's name
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.isl)

    @property
    def has_times(self) -> bool:
        """Whether any row has a time stamp."""
        return bool(np.any(~np.isnan(self.t_ms)))

    @property
    def has_sessions(self) -> bool:
        """Whether any rows belong together."""
        return self.session is not None and bool(np.any(self.session >= 0))

    def take(self, rows: npt.NDArray[np.int64]) -> Trace:
        """The given rows, in the given order."""
        picked = rows.tolist()
        return replace(
            self,
            isl=self.isl[rows],
            osl=self.osl[rows],
            t_ms=self.t_ms[rows],
            hash_ids=None if self.hash_ids is None else [self.hash_ids[row] for row in picked],
            prompts=None if self.prompts is None else [self.prompts[row] for row in picked],
            session=None if self.session is None else self.session[rows],
            delay_ms=None if self.delay_ms is None else self.delay_ms[rows],
            lora=None if self.lora is None else [self.lora[row] for row in picked],
        )
