"""Several ranks, one histogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tokenclock._core import HdrHistogram

__all__ = ["merge_histograms"]

H = TypeVar("H", bound=HdrHistogram)


def merge_histograms(by_rank: Sequence[H]) -> H:
    """A new histogram with the counts of all ranks added, losses too.

    Raises:
        ValueError: no histogram, or one whose limits or digits differ from the first one's.
    """
    if not by_rank:
        raise ValueError("expected the histogram of one rank or more, got none")
    first = by_rank[0]
    merged = first.copy()
    for rank, other in enumerate(by_rank[1:], start=1):
        if (other.lowest, other.highest, other.significant_digits) != (
            first.lowest, first.highest, first.significant_digits,
        ):  # fmt: skip
            raise ValueError(
                f"histograms to merge must have one range and precision, got {other.lowest}..{other.highest} with "
                f"{other.significant_digits} digits from rank {rank}, {first.lowest}..{first.highest} with "
                f"{first.significant_digits} from rank 0"
            )
        merged.merge(other)
    return merged
