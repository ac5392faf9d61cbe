"""When requests are due: fixed before the run, as absolute times from its start."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan import LoadPlan
from tokenclock.units import NS_PER_S

__all__ = ["asked_rates", "due_times_ns", "mean_rate"]


def asked_rates(load: LoadPlan, count: int) -> float | npt.NDArray[np.float64]:
    """The arrival rate of `count` requests in requests/s: one number, or with a ramp-up float64[count - 1], per gap.

    The gap behind request i has the rate of i/(count-1) of the way: on a straight line from start to end, or,
    exponential, multiplied by the same factor from each request to the next.
    """
    ramp = load.ramp_up
    if ramp is None:
        return float(load.request_rate)
    way = np.arange(max(count - 1, 0)) / max(count - 1, 1)
    rates: npt.NDArray[np.float64]
    if ramp.strategy == "linear":
        rates = ramp.start_rps + (ramp.end_rps - ramp.start_rps) * way
    else:
        rates = ramp.start_rps * (ramp.end_rps / ramp.start_rps) ** way
    return rates


def mean_rate(load: LoadPlan, count: int) -> float:
    """The mean rate in requests/s that the plan asks of `count` requests: with a ramp-up, gaps / their expected sum."""
    rates = asked_rates(load, count)
    if isinstance(rates, float) or not len(rates):
        return float(rates) if isinstance(rates, float) else math.inf
    return float(len(rates) / np.sum(1 / rates))


def due_times_ns(
    generator: np.random.Generator, count: int, request_rate: float | npt.NDArray[np.float64], burstiness: float
) -> npt.NDArray[np.int64]:
    """Due times in ns from the run's start, int64[count], never falling; the first is 0.

    request_rate: requests per second > 0; inf makes every time 0; an array has one rate for each of the gaps.
    burstiness: shape of the gamma-distributed gaps, whose mean is 1/request_rate; 1 is a Poisson process, inf makes
    every gap its mean.
    The gaps are summed as drawn: nothing is rescaled, so the count in a window keeps its natural spread.
    """
    if isinstance(request_rate, float) and math.isinf(request_rate):
        return np.zeros(count, dtype=np.int64)
    n_gaps = max(0, count - 1)
    if math.isinf(burstiness):
        gaps_s = np.broadcast_to(np.asarray(1.0 / np.asarray(request_rate)), (n_gaps,))
    else:
        gaps_s = generator.gamma(burstiness, 1.0 / (request_rate * burstiness), size=n_gaps)
    due_s = np.concatenate(([0.0], np.cumsum(gaps_s)))[:count]
    if not due_s[-1] < 1e9:
        slowest = float(np.min(request_rate))
        raise UsageError(
            f"--request-rate {slowest:g} with --burstiness {burstiness:g} would last {due_s[-1]:.3g} s; "
            "raise the rate or lower --num-prompts"
        )
    due_ns: npt.NDArray[np.int64] = np.rint(due_s * NS_PER_S).astype(np.int64)
    return due_ns
