"""Token ids as decimal text, many at a time: a table of eight bytes an id, and one pass that drops the padding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["IdText"]

_WIDTH = 8  # bytes of an id and its comma; longer ids are refused before


class IdText:
    """Writes rows of ids as `1,2,3` without a Python object for each id."""

    def __init__(self, largest_id: int) -> None:
        """largest_id: below 10 000 000, as text and comma must fit into eight bytes."""
        if not 0 <= largest_id < 10 ** (_WIDTH - 1):
            raise ValueError(f"ids must be in [0, {10 ** (_WIDTH - 1)}), got {largest_id}")
        texts = np.char.add(np.arange(largest_id + 1).astype(f"S{_WIDTH - 1}"), b",").astype(f"S{_WIDTH}")
        self._table = texts.view(np.uint64)  # what is shorter ends in NULs
        self._sizes = np.char.str_len(texts).astype(np.uint8)

    def rows(self, flat: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32]) -> list[bytes]:
        """The text of each row of `lengths` ids (each at least 1), which lie one behind the other in `flat`."""
        text = self._table[flat].tobytes().translate(None, b"\0")
        ends_of_ids = np.cumsum(self._sizes[flat], dtype=np.int64)
        ends = ends_of_ids[np.cumsum(lengths, dtype=np.int64) - 1].tolist()
        rows, start = [], 0
        for end in ends:
            rows.append(text[start : end - 1])  # without the last comma
            start = end
        return rows
