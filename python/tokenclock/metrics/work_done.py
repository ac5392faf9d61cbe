"""How much of the requests' work was done in each window of time, whatever the windows cut through.

The slots of a closed loop often keep step: all requests of a wave end together, and a window that holds two ends of
waves looks twice as fast as its neighbour that holds one, or exactly as fast as all others. Neither says how sure a
rate is. So a request counts in each window by the share of its time, from sending to last token, that lies there: a
window in which all slots are busy with requests of usual length has the usual work, wherever its edges fall.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.blocks import Blocks

__all__ = ["work_per_block"]

Array = npt.NDArray[Any]


def work_per_block(amounts: Array, t_start_ns: Array, t_end_ns: Array, blocks: Blocks) -> Array:
    """float64 (n_blocks,): the parts of all amounts that fall into each block.

    Args:
        amounts: (n,), what each request brings: 1, or tokens.
        t_start_ns, t_end_ns: int64 (n,), when it was under way; one of no length counts where it ended.
        blocks: one or more.
    """
    ends = (t_end_ns - blocks.t_start_ns).astype(np.float64)
    lasted = (t_end_ns - t_start_ns).astype(np.float64)
    done = np.empty(blocks.n + 1)
    for i in range(blocks.n + 1):
        left = np.maximum(ends - i * blocks.length_ns, 0.0)  # ns of each request after this edge
        share = np.where(left >= lasted, left > 0, left / np.where(lasted > 0, lasted, 1.0))
        done[i] = np.dot(amounts, 1.0 - share)
    return np.diff(done)
