"""How far every metric of a run lies from a paced server's truth, request by request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.agreement import SendLog, agreement_with_truth
from tokenclock.metrics.summary import rank_percentile
from tokenclock.records import MISSING_NS, Records

__all__ = ["MetricErrors", "metric_errors"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MetricErrors:
    """Errors in ns, ours - truth; a percentile of single errors is of their absolute values, by rank. NaN: no sample.

    Args:
        n_requests: answers compared.
        n_gaps: gaps between token events compared.
        ttft_mean_ns, ttft_p99_ns: of the mean of TTFT, and of its 99th percentile.
        itl_p99_ns: 99th percentile of single gaps' errors.
        tpot_p99_ns, e2el_p99_ns: 99th percentile of single answers' errors.
        user_ttft_mean_ns: of the mean of TTFT had the first event's stamp been the time it was read.
    """

    n_requests: int
    n_gaps: int
    ttft_mean_ns: float
    ttft_p99_ns: float
    itl_p99_ns: float
    tpot_p99_ns: float
    e2el_p99_ns: float
    user_ttft_mean_ns: float


def metric_errors(records: Records, truth: SendLog) -> MetricErrors:
    """Hold a streaming run against the truth of the server it ran against; one event a send on its side."""
    agreement = agreement_with_truth(records, truth)
    n = len(agreement.ttft_ns)
    gaps_of_answer = len(agreement.gap_errors_ns) // n if n else 0
    ttft_errors = agreement.ttft_ns - agreement.true_ttft_ns
    # from the first event to the last an answer is the sum of its gaps, and so is its error
    spans = _sums(agreement.gap_errors_ns, n, gaps_of_answer)
    return MetricErrors(
        n_requests=n,
        n_gaps=len(agreement.gap_errors_ns),
        ttft_mean_ns=agreement.mean_ttft_error_ns,
        ttft_p99_ns=agreement.ttft_error_ns(99),
        itl_p99_ns=agreement.gap_error_ns(99),
        tpot_p99_ns=_p99(spans / gaps_of_answer) if gaps_of_answer else float("nan"),
        e2el_p99_ns=_p99(ttft_errors + spans),
        user_ttft_mean_ns=agreement.mean_ttft_error_ns + _mean_first_read_lag_ns(records),
    )


def _sums(errors: Array, n: int, each: int) -> Array:
    if len(errors) != n * each:
        raise ValueError(f"expected answers of one length, {n} of them with {each} gaps, got {len(errors)} gaps")
    return np.asarray(errors.reshape(n, each).sum(axis=1), np.float64)


def _p99(errors: Array) -> float:
    value = rank_percentile(np.sort(np.abs(errors)), 99)
    return float("nan") if value is None else value


def _mean_first_read_lag_ns(records: Records) -> float:
    rows = np.flatnonzero(records.ok & (records.columns["t_first_token_ns"] != MISSING_NS))
    first = records.token_offsets[:-1][rows]
    return float((records.t_read_ns - records.t_token_ns)[first].mean()) if len(first) else float("nan")
