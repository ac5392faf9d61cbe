"""Goodput: requests that met every limit the user named. A failure is a miss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.records import Records

__all__ = ["Goodput", "goodput"]


@dataclass(frozen=True)
class Goodput:
    """How many requests met every limit.

    Args:
        slos_ms: the limits, in ms.
        n_good: requests that met all of them; None when a limit names a latency that this run does not have.
        share: of all scheduled requests, failures included.
        met: tag -> requests that met this one limit (an exempt request meets it).
        n_exempt_tpot: good answers of fewer than two tokens, which have no TPOT to miss.
        request_goodput: good requests per second of ``duration``.
    """

    slos_ms: Mapping[str, float]
    n_good: int | None
    share: float | None
    met: Mapping[str, int]
    n_exempt_tpot: int
    request_goodput: float | None


def goodput(records: Records, slos_ms: Mapping[str, float], duration_ns: int | None) -> Goodput | None:
    """Goodput by limits on ``ttft``, ``tpot`` and ``e2el`` in ms; None when no limit was named.

    A value equal to its limit meets it. Without streaming there is no TTFT and no TPOT: a limit on them cannot be
    judged, and nothing is made up.
    """
    if not slos_ms:
        return None
    ok = records.ok
    values = {"ttft": latency.ttft_ns, "tpot": latency.tpot_ns, "e2el": latency.e2el_ns}
    osl = records.columns["osl"]
    exempt = ok & (osl >= 0) & (osl < 2)
    good = ok.copy()
    met: dict[str, int] = {}
    judged = True
    for tag, limit_ms in slos_ms.items():
        column = values[tag](records)
        if tag in ("ttft", "tpot") and ok.any() and not np.isfinite(latency.ttft_ns(records)).any():
            judged = False
        within = np.nan_to_num(column, nan=np.inf) <= units.ms_to_ns(limit_ms)
        if tag == "tpot":
            within |= exempt
        met[tag] = int((within & ok).sum())
        good &= within
    n_exempt = int((exempt & good).sum()) if "tpot" in slos_ms else 0
    if not judged:
        return Goodput(dict(slos_ms), None, None, {}, 0, None)
    n_good = int(good.sum())
    share = n_good / records.n_requests if records.n_requests else None
    per_s = units.per_s(n_good, duration_ns) if duration_ns else None
    return Goodput(dict(slos_ms), n_good, share, met, n_exempt, per_s)
