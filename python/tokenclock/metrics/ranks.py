"""Several ranks, one answer: a step that ranks take together lasts as long as its slowest rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock._core import HdrHistogram

__all__ = ["RankShare", "Skew", "merge_histograms", "rank_shares", "skew", "slowest_ns"]

Array = npt.NDArray[Any]


def slowest_ns(by_rank: Sequence[Array]) -> Array:
    """Per iteration the latency of the slowest rank.

    Args:
        by_rank: for each rank its latencies in ns, int64 (n,), the same n for all.

    Returns:
        int64 (n,).

    Raises:
        ValueError: no rank, or ranks with different numbers of iterations.
    """
    return np.asarray(_stacked(by_rank).max(axis=0))


@dataclass(frozen=True)
class Skew:
    """How far the ranks were apart, over iterations: slowest minus fastest rank; None without iterations.

    Args:
        n: iterations.
        median_ns, max_ns: of the difference.
        mean_share: mean of the difference over the slowest rank's latency, 0 to 1: what waiting for it cost.
    """

    n: int
    median_ns: float | None
    max_ns: int | None
    mean_share: float | None


def skew(by_rank: Sequence[Array]) -> Skew:
    """The skew of latencies as `slowest_ns` takes them. One rank has a skew of 0."""
    latencies = _stacked(by_rank)
    n = latencies.shape[1]
    if n == 0:
        return Skew(0, None, None, None)
    slowest = latencies.max(axis=0)
    apart = slowest - latencies.min(axis=0)
    shares = np.divide(apart, slowest, out=np.zeros(n), where=slowest > 0)
    return Skew(n, float(np.median(apart)), int(apart.max()), float(shares.mean()))


@dataclass(frozen=True)
class RankShare:
    """One rank of a case: its own latencies, and in how many iterations it was (one of) the slowest."""

    rank: int
    n: int
    n_slowest: int
    mean_ns: float | None
    median_ns: float | None
    max_ns: int | None


def rank_shares(by_rank: Sequence[Array]) -> list[RankShare]:
    """For each rank its part in the latencies as `slowest_ns` takes them."""
    latencies = _stacked(by_rank)
    if latencies.shape[1] == 0:
        return [RankShare(rank, 0, 0, None, None, None) for rank in range(len(latencies))]
    slowest = latencies.max(axis=0)
    return [
        RankShare(
            rank, len(own), int((own == slowest).sum()), float(own.mean()), float(np.median(own)), int(own.max())
        )
        for rank, own in enumerate(latencies)
    ]


def merge_histograms(by_rank: Sequence[HdrHistogram]) -> HdrHistogram:
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


def _stacked(by_rank: Sequence[Array]) -> Array:
    lengths = [len(own) for own in by_rank]
    if not lengths or len(set(lengths)) > 1:
        raise ValueError(f"expected the same number of iterations from one rank or more, got {lengths}")
    return np.stack([np.asarray(own, np.int64) for own in by_rank])
