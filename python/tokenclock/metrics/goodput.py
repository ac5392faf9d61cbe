"""Goodput: requests that met every limit the user named. A failure is a miss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.metrics.wilson import wilson_interval
from tokenclock.records import Records

__all__ = ["Attainment", "Goodput", "goodput"]


@dataclass(frozen=True)
class Attainment:
    """How one limit was kept: requests that met it, their share of all scheduled, and its 95 % interval."""

    met: int
    share: float | None
    interval_95: tuple[float, float] | None


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
        interval_95: Wilson's interval of ``share``.
        attainment: tag -> how this one limit was kept, for the limits that can be judged.
    """

    slos_ms: Mapping[str, float]
    n_good: int | None
    share: float | None
    met: Mapping[str, int]
    n_exempt_tpot: int
    request_goodput: float | None
    interval_95: tuple[float, float] | None = None
    attainment: Mapping[str, Attainment] = field(default_factory=dict)


def goodput(records: Records, slos_ms: Mapping[str, float], duration_ns: int | None) -> Goodput | None:
    """Goodput by limits on ``ttft``, ``ttst`` (second token event - first), ``tpot`` and ``e2el`` in ms; None when no
    limit was named.

    A value equal to its limit meets it. Without streaming there is no TTFT and no TPOT: a limit on them cannot be
    judged, and nothing is made up.
    """
    if not slos_ms:
        return None
    ok = records.ok
    values = {
        "ttft": latency.ttft_ns(records),
        "ttst": latency.ttst_ns(records),
        "tpot": latency.tpot_ns(records),
        "e2el": latency.e2el_ns(records),
    }
    osl = records.columns["osl"]
    exempt = ok & (osl >= 0) & (osl < 2)
    no_stream = bool(ok.any()) and not np.isfinite(values["ttft"]).any()
    good = ok.copy()
    attainment: dict[str, Attainment] = {}
    for tag, limit_ms in slos_ms.items():
        if no_stream and tag in ("ttft", "ttst", "tpot"):
            continue
        within = np.nan_to_num(values[tag], nan=np.inf) <= units.ms_to_ns(limit_ms)
        if tag in ("tpot", "ttst"):
            within |= exempt
        attainment[tag] = _attainment(int((within & ok).sum()), records.n_requests)
        good &= within
    if len(attainment) < len(slos_ms):
        return Goodput(dict(slos_ms), None, None, {}, 0, None, None, attainment)
    n_exempt = int((exempt & good).sum()) if "tpot" in slos_ms else 0
    total = _attainment(int(good.sum()), records.n_requests)
    per_s = units.per_s(total.met, duration_ns) if duration_ns else None
    met = {tag: found.met for tag, found in attainment.items()}
    return Goodput(
        dict(slos_ms), total.met, total.share, met, n_exempt, per_s, total.interval_95, attainment
    )  # fmt: skip


def _attainment(met: int, n: int) -> Attainment:
    return Attainment(met, met / n if n else None, wilson_interval(met, n))
