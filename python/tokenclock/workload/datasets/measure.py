"""Token lengths of texts: counted by the tokenizer, or estimated where none is named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenclock.workload.tokenizer import Tokenizer

__all__ = ["LengthMeter"]

_BYTES_PER_TOKEN = 4  # of UTF-8; near the mean of English text in today's vocabularies


class LengthMeter:
    """Measures texts in tokens; `exact` says whether by counting."""

    def __init__(self, tokenizer: Tokenizer | None) -> None:
        self.tokenizer = tokenizer
        self.exact = tokenizer is not None

    def counts(self, texts: Sequence[str], *, special: bool = False) -> npt.NDArray[np.int32]:
        """Tokens of each text, int32; with the special tokens a server adds to a completion prompt, or without."""
        if self.tokenizer is not None:
            return self.tokenizer.counts(texts, special=special)
        return np.array([-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts], dtype=np.int32)

    def note(self, what: str) -> list[str]:
        """One line for the user where lengths are estimates; `what`: which lengths follow from them."""
        if self.exact:
            return []
        return [
            f"no tokenizer: {what} from the text's size, {_BYTES_PER_TOKEN} bytes a token; input lengths are the "
            "server's own counts (--tokenizer DIR makes both exact)"
        ]
