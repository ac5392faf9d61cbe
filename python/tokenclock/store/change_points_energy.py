"""The energy statistic of every way to cut a series in two, for the series and for many shufflings of it at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["energy_statistics"]

_BLOCK = 32
"""Positions whose distances to one another are taken pair by pair; further apart they are counted by merging."""

Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int32]


def energy_statistics(values: Floats) -> Floats:
    """How different the two sides of every cut are (Matteson and James 2014, exponent 1).

    For sides X of n and Y of m values:
    Q = n m / (n + m) (2 mean|X - Y| - mean|X - X'| - mean|Y - Y'|), the means over all pairs of different places.

    The distances within the first values of a series are summed in O(n log n) time: the values are sorted once, and
    what lies before and below each value is counted as a merge sort would.

    Args:
        values: (rows, n), n >= 4, finite; best with a mean near 0, so that sums lose nothing.

    Returns:
        (rows, n - 3): Q of the cuts after 2, 3, ... n - 2 values.
    """
    rows, n = values.shape
    order = np.argsort(values, axis=1, kind="stable")
    row = np.arange(rows)[:, None]
    ranks = np.empty((rows, n), dtype=np.int32)
    ranks[row, order] = np.arange(n, dtype=np.int32)
    ordered = values[row, order]
    within_first = np.cumsum(_to_earlier(values, ordered, ranks), axis=1)
    to_all = np.cumsum(_to_all(ordered)[row, ranks], axis=1)
    total = to_all[:, -1:] / 2
    sizes = np.arange(2, n - 1, dtype=np.float64)
    rest = n - sizes
    first = within_first[:, 1 : n - 2]
    across = to_all[:, 1 : n - 2] - 2 * first
    last = total - first - across
    energy = 2 * across / (sizes * rest) - first / (sizes * (sizes - 1) / 2) - last / (rest * (rest - 1) / 2)
    found: Floats = energy * (sizes * rest / n)
    return found


def _to_all(ordered: Floats) -> Floats:
    """Of each sorted value, the sum of its distances to all of its row."""
    n = ordered.shape[1]
    up_to = np.cumsum(ordered, axis=1)
    places = np.arange(n)
    found: Floats = ordered * (2 * places + 2 - n) + up_to[:, -1:] - 2 * up_to
    return found


def _to_earlier(values: Floats, ordered: Floats, ranks: Ranks) -> Floats:
    """Of the value at each position, the sum of its distances to the values before it."""
    rows, n = ranks.shape
    size = _BLOCK
    while size < n:
        size *= 2
    whole = np.zeros((rows, size))  # filled up behind the end, where no position of the series is after it
    whole[:, :n] = values
    blocks = np.ascontiguousarray(whole.reshape(-1, _BLOCK).T)  # a row for each place within the blocks
    distances = np.empty_like(blocks)
    for place in range(_BLOCK):
        distances[place] = np.abs(blocks[:place] - blocks[place]).sum(axis=0)
    near = distances.T.reshape(rows, size)
    if size == _BLOCK:
        within: Floats = near[:, :n]
        return within
    padded = np.empty((rows, size), dtype=np.int32)
    padded[:, :n] = ranks
    padded[:, n:] = np.arange(n, size)
    extended = np.zeros((rows, size))
    extended[:, :n] = ordered
    by_rank = np.zeros((rows, size))
    row = np.arange(rows)[:, None]
    by_rank[row, padded] = near
    keys, half = padded, _BLOCK
    while half < size:
        keys = _merge(extended, keys, half, by_rank)
        half *= 2
    found: Floats = by_rank[row, padded][:, :n]
    return found


def _merge(ordered: Floats, keys: Ranks, half: int, by_rank: Floats) -> Ranks:
    """Sort every two neighbouring blocks of `half` ranks; add the distances of the second's values to the first's."""
    rows, size = keys.shape
    marked = keys.reshape(rows, -1, 2, half) * 2
    marked[:, :, 1] += 1
    merged = np.sort(marked.reshape(rows, -1, 2 * half), axis=-1).reshape(rows, size)
    second, flat = (merged & 1).astype(bool), merged >> 1
    row = np.arange(rows)[:, None]
    value = ordered[row, flat]
    first = np.where(second, 0.0, value).reshape(rows, -1, 2 * half)
    count = np.cumsum(~second.reshape(first.shape), axis=-1)
    below = np.cumsum(first, axis=-1)
    distance = value.reshape(first.shape) * (2 * count - half) + below[..., -1:] - 2 * below
    by_rank[row, flat] += np.where(second, distance.reshape(rows, size), 0.0)
    return flat
