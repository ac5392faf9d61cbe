"""When requests are due: fixed before the run, as absolute times from its start."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.units import NS_PER_S

__all__ = ["due_times_ns"]


def due_times_ns(
    generator: np.random.Generator, count: int, request_rate: float, burstiness: float
) -> npt.NDArray[np.int64]:
    """Due times in ns from the run's start, int64[count], never falling; the first is 0.

    request_rate: requests per second > 0; inf makes every time 0.
    burstiness: shape of the gamma-distributed gaps, whose mean is 1/request_rate; 1 is a Poisson process.
    The gaps are summed as drawn: nothing is rescaled, so the count in a window keeps its natural spread.
    """
    if math.isinf(request_rate):
        return np.zeros(count, dtype=np.int64)
    gaps_s = generator.gamma(burstiness, 1.0 / (request_rate * burstiness), size=max(0, count - 1))
    due_s = np.concatenate(([0.0], np.cumsum(gaps_s)))[:count]
    if not due_s[-1] < 1e9:
        raise UsageError(
            f"--request-rate {request_rate:g} with --burstiness {burstiness:g} would last {due_s[-1]:.3g} s; "
            "raise the rate or lower --num-prompts"
        )
    due_ns: npt.NDArray[np.int64] = np.rint(due_s * NS_PER_S).astype(np.int64)
    return due_ns
