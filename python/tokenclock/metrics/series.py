"""What plots are drawn from: curves, staircases and counts of a run, thinned to what an eye can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics import latency
from tokenclock.metrics.in_flight import in_flight
from tokenclock.records import Records
from tokenclock.units import NS_PER_S

__all__ = [
    "MAX_MARKS",
    "SAMPLED_REQUESTS",
    "Curve",
    "HeatMap",
    "RunSeries",
    "Spans",
    "ecdf",
    "itl_heat_map",
    "percentile_curve",
    "run_series",
]

Array = npt.NDArray[Any]

SAMPLED_REQUESTS = 500
"""Requests whose every token is marked in a timeline."""
MAX_MARKS = 60_000
"""Token marks in all; long answers are marked for fewer requests."""
_POINTS = 400  # of a curve
_BINS = 200  # of time
_HEAT_BINS = (120, 48)  # of time, of ITL
_MAX_SCATTER = 5_000


@dataclass(frozen=True)
class Curve:
    """Two arrays of one length."""

    x: Array
    y: Array


@dataclass(frozen=True)
class HeatMap:
    """Counts, shape (len(y), len(x)); x are the middles of time bins in s, y those of the values' bins in ns."""

    x: Array
    y: Array
    counts: Array


@dataclass(frozen=True)
class Spans:
    """One row per request that was sent, in order of sending; instants in s after the run's start, NaN where absent.

    Args:
        sent, first, last: of sending, first token, last token (of a failure: its end).
        ok: whether it ended well.
        rows: of the records.
    """

    sent: Array
    first: Array
    last: Array
    ok: Array
    rows: Array


@dataclass(frozen=True)
class RunSeries:
    """All series of a load test.

    Args:
        ecdf: tag -> share of samples (y) at or below a value in ns (x).
        percentiles: tag -> value in ns (y) at 1 / (1 - p) (x): equal steps of its log are a nine more each.
        spans: of all requests.
        marks: token events of up to 500 requests spread evenly over the run: x in s, y the place in ``spans``.
        n_marked: requests that are marked.
        tokens: output tokens per second (y) in equal windows of time (x, their middles, s).
        completions: requests that ended well per second, in windows four times as long.
        in_flight: mean requests under way, likewise.
        itl: gaps over time; None without gaps.
        ttft_by_isl: TTFT in ns (y) against input tokens (x), of at most 5000 requests spread evenly.
        bin_s: length of the windows of time.
    """

    ecdf: Mapping[str, Curve]
    percentiles: Mapping[str, Curve]
    spans: Spans
    marks: Curve
    n_marked: int
    tokens: Curve
    completions: Curve
    in_flight: Curve
    itl: HeatMap | None
    ttft_by_isl: Curve
    bin_s: float

    @property
    def end_s(self) -> float:
        """When the last request had its last token or failed, s after the start; 0 where nothing was sent."""
        ends = np.concatenate([self.spans.sent, self.spans.last])
        return float(np.nanmax(ends)) if np.isfinite(ends).any() else 0.0


def run_series(records: Records) -> RunSeries:
    """All series of a load test, from its raw columns."""
    values = {
        "ttft": latency.ttft_ns(records),
        "tpot": latency.tpot_ns(records),
        "itl": latency.itl_ns(records)[0],
        "e2el": latency.e2el_ns(records),
    }
    known = {tag: np.sort(column[np.isfinite(column)]) for tag, column in values.items()}
    known = {tag: ordered for tag, ordered in known.items() if len(ordered)}
    spans = _spans(records)
    marks, n_marked = _marks(records, spans)
    edges = _edges(records)
    return RunSeries(
        ecdf={tag: ecdf(ordered) for tag, ordered in known.items()},
        percentiles={tag: percentile_curve(ordered) for tag, ordered in known.items()},
        spans=spans,
        marks=marks,
        n_marked=n_marked,
        tokens=_tokens(records, edges),
        completions=_completions(records, edges[::4]),
        in_flight=_in_flight(records, edges),
        itl=itl_heat_map(records),
        ttft_by_isl=_ttft_by_isl(records),
        bin_s=float(edges[1] - edges[0]) / NS_PER_S if len(edges) > 1 else 0.0,
    )


def ecdf(ordered: Array) -> Curve:
    """The share of samples at or below each value, at the samples themselves, at most 400 of them.

    Args:
        ordered: sorted, not empty.
    """
    ranks = _ranks(len(ordered))
    return Curve(ordered[ranks - 1].astype(np.float64), ranks / len(ordered))


def _ranks(n: int) -> Array:
    """1-based ranks, evenly spread, and more of them towards the last."""
    tail = n + 1 - np.unique(np.geomspace(1, n, _POINTS // 2).astype(np.int64))
    return np.unique(np.concatenate([np.linspace(1, n, min(n, _POINTS // 2)).astype(np.int64), tail]))


def percentile_curve(ordered: Array) -> Curve:
    """The value at each percentile by the rule ``rank``, against 1 / (1 - p), up to the last that N samples support.

    Args:
        ordered: sorted, not empty.
    """
    n = len(ordered)
    x = np.geomspace(1, max(n, 2), _POINTS // 2)
    ranks = np.clip(np.ceil((1 - 1 / x) * n - 1e-9).astype(np.int64), 1, n)
    return Curve(x, ordered[ranks - 1].astype(np.float64))


def _spans(records: Records) -> Spans:
    columns = records.columns
    rows = np.flatnonzero(records.present("t_sent_ns"))
    rows = rows[np.argsort(columns["t_sent_ns"][rows], kind="stable")]
    ended_well = records.ok & records.present("t_last_token_ns")
    ends = np.where(ended_well, columns["t_last_token_ns"], columns["t_done_ns"])
    return Spans(
        _seconds(columns["t_sent_ns"], rows, records.present("t_sent_ns")),
        _seconds(columns["t_first_token_ns"], rows, records.present("t_first_token_ns")),
        _seconds(ends, rows, ended_well | records.present("t_done_ns")),
        records.ok[rows],
        rows,
    )


def _seconds(column: Array, rows: Array, present: Array) -> Array:
    return np.where(present[rows], column[rows] / NS_PER_S, np.nan)


def _marks(records: Records, spans: Spans) -> tuple[Curve, int]:
    n = len(spans.rows)
    if n == 0 or records.n_events == 0:
        return Curve(np.zeros(0), np.zeros(0)), 0
    places = np.unique(np.linspace(0, n - 1, min(n, SAMPLED_REQUESTS)).astype(np.int64))
    lengths = np.diff(records.token_offsets)[spans.rows[places]]
    if lengths.sum() > MAX_MARKS:
        step = int(np.ceil(lengths.sum() / MAX_MARKS))
        places = places[::step]
        lengths = lengths[::step]
    starts = records.token_offsets[:-1][spans.rows[places]]
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    events = np.repeat(starts - first, lengths) + np.arange(lengths.sum())
    return Curve(records.t_token_ns[events] / NS_PER_S, np.repeat(places, lengths).astype(np.float64)), len(places)


def _edges(records: Records) -> Array:
    """Edges of equal windows of time from the first sending to the last instant, ns."""
    sent = records.columns["t_sent_ns"][records.present("t_sent_ns")]
    ends = [records.columns[name][records.present(name)] for name in ("t_last_token_ns", "t_done_ns")]
    last = np.concatenate(ends)
    if not len(sent) or not len(last) or last.max() <= sent.min():
        return np.zeros(0)
    return np.linspace(int(sent.min()), int(last.max()), _BINS + 1)


def _per_second(t_ns: Array, amounts: Array, edges: Array) -> Curve:
    if len(edges) < 2:
        return Curve(np.zeros(0), np.zeros(0))
    counts, _ = np.histogram(t_ns, edges, weights=amounts)
    return Curve(_middles(edges) / NS_PER_S, counts / (np.diff(edges) / NS_PER_S))


def _middles(edges: Array) -> Array:
    return np.asarray((edges[1:] + edges[:-1]) / 2)


def _tokens(records: Records, edges: Array) -> Curve:
    """By token events; without streaming the tokens of an answer come at its end."""
    if records.n_events:
        counted = np.repeat(records.ok, np.diff(records.token_offsets))
        return _per_second(records.t_token_ns[counted], records.n_tokens[counted], edges)
    ended = records.ok & records.present("t_last_token_ns")
    return _per_second(records.columns["t_last_token_ns"][ended], np.maximum(records.columns["osl"][ended], 0), edges)


def _completions(records: Records, edges: Array) -> Curve:
    ended = records.ok & records.present("t_last_token_ns")
    t_ns = records.columns["t_last_token_ns"][ended]
    return _per_second(t_ns, np.ones(len(t_ns)), edges)


def _in_flight(records: Records, edges: Array) -> Curve:
    """The integral of the staircase at each edge, differenced: its mean in each window."""
    found = in_flight(records)
    if len(edges) < 2 or not len(found.t_ns):
        return Curve(np.zeros(0), np.zeros(0))
    area = np.concatenate([[0.0], np.cumsum(np.diff(found.t_ns) * found.n[:-1].astype(np.float64))])
    at = np.searchsorted(found.t_ns, edges, side="right") - 1
    until = np.where(at >= 0, area[at] + (edges - found.t_ns[at]) * found.n[at], 0.0)
    return Curve(_middles(edges) / NS_PER_S, np.diff(until) / np.diff(edges))


def itl_heat_map(records: Records) -> HeatMap | None:
    """Gaps by the time of their later event and by their length, in bins whose logs are equal; None without gaps."""
    gaps, _, t_ns = latency.timed_itl_ns(records)
    positive = gaps > 0
    gaps, t_ns = gaps[positive], t_ns[positive]
    if not len(gaps) or t_ns.max() <= t_ns.min():
        return None
    low, high = float(gaps.min()), float(gaps.max())
    values = np.geomspace(low * 0.999, max(high, low * 1.01) * 1.001, _HEAT_BINS[1] + 1)
    times = np.linspace(int(t_ns.min()), int(t_ns.max()), _HEAT_BINS[0] + 1)
    counts, _, _ = np.histogram2d(gaps, t_ns, (values, times))
    return HeatMap(_middles(times) / NS_PER_S, np.sqrt(values[1:] * values[:-1]), counts)


def _ttft_by_isl(records: Records) -> Curve:
    columns = records.columns
    isl = np.where(columns["isl_server"] >= 0, columns["isl_server"], columns["isl_requested"])
    ttft = latency.ttft_ns(records)
    rows = np.flatnonzero(np.isfinite(ttft) & (isl >= 0))
    if len(rows) > _MAX_SCATTER:
        rows = rows[np.linspace(0, len(rows) - 1, _MAX_SCATTER).astype(np.int64)]
    return Curve(isl[rows].astype(np.float64), ttft[rows])
