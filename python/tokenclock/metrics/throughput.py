"""Durations, token totals and rates of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.records import MISSING_NS, OSL_SOURCE_NAMES, Records

__all__ = ["Durations", "Rates", "TokenTotals", "durations", "rates", "token_totals"]


@dataclass(frozen=True)
class Durations:
    """Both lengths of a run, in ns; None where nothing was sent or no token came.

    Args:
        first_sent_to_last_token_ns: what our own rates divide by.
        wall_ns: from the run's start (after warm-ups on its own slots: from the first measured sending) to the end of
            its last request, what the original tools divide by.
    """

    first_sent_to_last_token_ns: int | None
    wall_ns: int | None


@dataclass(frozen=True)
class TokenTotals:
    """Tokens of the requests that ended well, and where the counts come from; `isl` None: nobody counted them all."""

    isl: int | None
    isl_source: str
    osl: int
    osl_source: str


@dataclass(frozen=True)
class Rates:
    """Per second; None where nothing completed, the duration is unknown, or nobody counted the tokens of an answer."""

    request_throughput: float | None
    output_throughput: float | None
    total_throughput: float | None
    user_throughput: float | None


def durations(records: Records) -> Durations:
    """Both durations; the wall time is the client's own, else up to the last instant that any request ended."""
    sent = records.columns["t_sent_ns"][records.present("t_sent_ns")]
    last = records.columns["t_last_token_ns"][records.present("t_last_token_ns")]
    done = records.columns["t_done_ns"][records.present("t_done_ns")]
    span = int(last.max() - sent.min()) if sent.size and last.size else None
    wall = records.client.get("wall_ns")
    if wall is None and done.size:
        wall = int(done.max())
    before = int(records.client.get("measured_from_ns", 0))
    return Durations(span, None if wall is None else int(wall) - before)


def token_totals(records: Records) -> TokenTotals:
    """ISL as the server counted it, row by row, else as asked; OSL with the names of its sources."""
    ok = records.ok
    server = records.columns["isl_server"][ok].astype(np.int64)
    asked = records.columns["isl_requested"][ok].astype(np.int64)
    from_server = server >= 0
    isl = np.where(from_server, server, asked)
    uncounted = bool((isl < 0).any())
    if from_server.all():
        isl_source = "server usage"
    elif uncounted:
        isl_source = "missing"
    else:
        isl_source = "as asked" if not from_server.any() else "server usage and as asked"
    osl = np.maximum(records.columns["osl"][ok].astype(np.int64), 0)
    sources = np.unique(records.columns["osl_source"][ok])
    osl_source = " and ".join(OSL_SOURCE_NAMES[int(source)] for source in sources)
    return TokenTotals(
        None if uncounted else int(isl.sum()),
        isl_source if ok.any() else "missing",
        int(osl.sum()),
        osl_source if ok.any() else "missing",
    )


def rates(records: Records, totals: TokenTotals, duration_ns: int | None) -> Rates:
    """Throughputs over the given duration; user throughput (mean of OSL / E2EL) does not depend on it."""
    n_ok = int(records.ok.sum())
    e2el = latency.e2el_ns(records)
    osl = records.columns["osl"]
    known = (e2el > 0) & (osl >= 0)
    per_user = np.sort(osl[known] / e2el[known])
    user = units.per_s(float(per_user.mean()), 1) if per_user.size else None
    if n_ok == 0 or not duration_ns or duration_ns == MISSING_NS:
        return Rates(None, None, None, user)
    uncounted = bool((records.ok & records.present("t_last_token_ns") & (osl < 0)).any())
    return Rates(
        units.per_s(n_ok, duration_ns),
        None if uncounted else units.per_s(totals.osl, duration_ns),
        None if uncounted or totals.isl is None else units.per_s(totals.isl + totals.osl, duration_ns),
        user,
    )
