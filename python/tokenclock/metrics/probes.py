"""The probes of a run: one-token requests sent beside the load, to see how the server answers while it is busy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.serving_face import RULE
from tokenclock.metrics.summary import distribution
from tokenclock.records import MISSING_NS, STATUS_NAMES

__all__ = ["summarise_probes"]

Array = npt.NDArray[Any]

_OK, _CANCELLED, _NOT_SENT = (STATUS_NAMES.index(name) for name in ("ok", "cancelled", "not_sent"))


def summarise_probes(columns: Mapping[str, Array], rate: float) -> dict[str, Any]:
    """Counts and end-to-end latency of the probes that were due while the load ran.

    Args:
        columns: ``status``, ``t_sent_ns``, ``t_last_token_ns``, one row per probe.
        rate: probes asked for per second.

    Returns:
        ``rate``, ``completed``, ``failed``, ``unfinished`` (no answer when the run had ended for a while), and
        ``e2el_ns`` with ``mean``, ``median``, ``p99``, ``max`` (None when none completed; linear percentiles).
    """
    status = columns["status"]
    ok = (status == _OK) & (columns["t_last_token_ns"] != MISSING_NS)
    unfinished = (status == _CANCELLED) | (status == _NOT_SENT)
    found = distribution("e2el", (columns["t_last_token_ns"] - columns["t_sent_ns"])[ok].astype(np.float64))
    return {
        "rate": rate,
        "completed": int(ok.sum()),
        "failed": int((~ok & ~unfinished).sum()),
        "unfinished": int(unfinished.sum()),
        "e2el_ns": {
            "mean": found.mean,
            "median": found.percentile(50, RULE),
            "p99": found.percentile(99, RULE),
            "max": found.maximum,
        },
    }
