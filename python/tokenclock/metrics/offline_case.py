"""The numbers of one offline case, from the rows of its iterations: latencies, steps, throughput, lengths, ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock import units
from tokenclock.iteration_records import TIMED, IterationRecords
from tokenclock.metrics.drift import Drift, drift
from tokenclock.metrics.repeat_intervals import mean_interval, median_interval
from tokenclock.metrics.summary import Distribution, distribution
from tokenclock.records import MISSING_NS

__all__ = ["CaseNumbers", "Lengths", "RankNumbers", "Series", "case_numbers"]

Array = npt.NDArray[Any]

RULES = ("rank", "linear", "floor")


@dataclass(frozen=True)
class Series:
    """One quantity over the timed iterations, in ns.

    Args:
        distribution: mean, std, min, max, percentiles by the rules rank, linear and floor.
        median: the middle value, or the mean of the two in the middle; None without values.
        mad: median absolute deviation from the median, as it is (not scaled).
        mean_interval, median_interval: 95 %; None where there are too few values, or they are not independent runs.
    """

    distribution: Distribution
    median: float | None
    mad: float | None
    mean_interval: tuple[float, float] | None
    median_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Lengths:
    """Tokens per row asked for and generated, over the timed iterations.

    Args:
        requested: None for encoders.
        shortest, longest: fewest and most tokens of a row; None where the runtime does not tell.
        n_iterations_off: iterations in which any row is off.
        tokens_per_iteration: mean over iterations of the tokens of all rows (first beam).
    """

    requested: int | None
    shortest: int | None
    longest: int | None
    n_iterations_off: int
    tokens_per_iteration: float | None


@dataclass(frozen=True)
class RankNumbers:
    """What the ranks have to do with it.

    Args:
        n: ranks.
        mean_ns: mean latency of each rank, in their order.
        slowest: how many iterations each rank was the slowest in.
        skew: slowest - fastest rank, per iteration.
        latency_ns: (n, iterations) of each rank.
    """

    n: int
    mean_ns: tuple[float, ...]
    slowest: tuple[int, ...]
    skew: Series
    latency_ns: Array


@dataclass(frozen=True)
class CaseNumbers:
    """All numbers of a case. Every list and series is over its timed iterations.

    Args:
        n: timed iterations.
        n_warm_up: iterations before them.
        latency_ns: (n,) of the slowest rank.
        series: tag -> values, tags of ``OFFLINE_DEFINITIONS``; without steps there is no ttft, tpot, itl, generation.
        throughput: tag -> per second; None where it is not known.
        steps_per_iteration: mean of the stamps; None without.
        generated_after_first: decode steps after the first, times rows and beams, mean over iterations; None likewise.
        lengths, ranks, drift: see there.
        n_not_together: iterations whose rows did not share their iterations; None where the question is void.
        phases: name -> values: parts of the iteration by the runtime's own clock.
    """

    n: int
    n_warm_up: int
    latency_ns: Array
    series: dict[str, Series]
    throughput: dict[str, float | None]
    steps_per_iteration: float | None
    generated_after_first: float | None
    lengths: Lengths
    ranks: RankNumbers
    drift: Drift
    n_not_together: int | None
    phases: dict[str, Series] = field(default_factory=dict)


def case_numbers(records: IterationRecords, *, num_beams: int = 1, percentiles: Sequence[float] = ()) -> CaseNumbers:
    """The numbers of one case.

    Args:
        records: the rows of that case, of all ranks, warm-ups included; all ranks have as many.
        num_beams: of the case.
        percentiles: wanted beside the standard ones.

    Raises:
        ValueError: no timed row.
    """
    timed = records.take(records.columns["phase"] == TIMED)
    if not len(timed):
        raise ValueError("a case without timed iterations has no numbers")
    by_rank = _by_rank(timed)
    latencies = np.stack([timed.latency_ns[rows] for rows in by_rank])
    slowest = latencies.argmax(axis=0)
    rows = timed.take(np.stack(by_rank)[slowest, np.arange(latencies.shape[1])])
    series = {"latency": _series("latency", latencies.max(axis=0), percentiles)}
    device = _device_latency(timed, by_rank)
    if device is not None:
        series["device_latency"] = _series("device_latency", device, percentiles)
    series |= _step_series(rows, percentiles)
    if rows.present("setup_ns").all():
        series["setup"] = _series("setup", rows.columns["setup_ns"], percentiles)
    together = rows.columns["ran_together"]
    lengths = _lengths(rows)
    has_steps = bool((rows.n_steps > 0).all())
    batch_size = int(rows.columns["batch_size"][0])
    after_first = float(np.mean(rows.n_steps - 1)) * batch_size if has_steps else None
    own_decode = rows.phases_ns.get("decode")
    if not has_steps and own_decode is not None and bool((own_decode != MISSING_NS).all()):
        series["generation"] = _series("generation", own_decode, percentiles)
        generated = lengths.tokens_per_iteration
        after_first = None if generated is None else generated - batch_size
    return CaseNumbers(
        n=len(rows),
        n_warm_up=int((records.columns["phase"] != TIMED).sum()) // len(by_rank),
        latency_ns=latencies.max(axis=0),
        series=series,
        throughput=_throughput(rows, series, lengths, after_first),
        steps_per_iteration=float(rows.n_steps.mean()) if has_steps else None,
        generated_after_first=None if after_first is None else after_first * num_beams,
        lengths=lengths,
        ranks=RankNumbers(
            len(by_rank),
            tuple(float(values.mean()) for values in latencies),
            tuple(int((slowest == rank).sum()) for rank in range(len(by_rank))),
            _series("rank_skew", latencies.max(axis=0) - latencies.min(axis=0), percentiles),
            latencies,
        ),
        drift=drift(latencies.max(axis=0)),
        n_not_together=int((together == 0).sum()) if (together >= 0).any() else None,
        phases={
            name: _series(name, values[values != MISSING_NS], percentiles) for name, values in rows.phases_ns.items()
        },
    )


def _by_rank(timed: IterationRecords) -> list[Array]:
    """Row numbers of each rank, in the order of iterations."""
    ranks = np.unique(timed.columns["rank"])
    return [np.flatnonzero(timed.columns["rank"] == rank) for rank in ranks]


def _series(tag: str, values: Array, percentiles: Sequence[float], *, independent: bool = True) -> Series:
    found = distribution(tag, values, percentiles, rules=RULES)
    if not found.n:
        return Series(found, None, None, None, None)
    median = float(np.median(values))
    mad = float(np.median(np.abs(values - median)))
    if not independent:
        return Series(found, median, mad, None, None)
    return Series(found, median, mad, mean_interval(values), median_interval(values))


def _device_latency(timed: IterationRecords, by_rank: list[Array]) -> Array | None:
    """(n,) the longest of the ranks that have device times for all their iterations; None where none has."""
    has = timed.present("device_ns")
    whole = [timed.columns["device_ns"][rows] for rows in by_rank if has[rows].all()]
    return np.stack(whole).max(axis=0) if whole else None


def _step_series(rows: IterationRecords, percentiles: Sequence[float]) -> dict[str, Series]:
    if not len(rows) or bool((rows.n_steps == 0).any()):
        return {}
    first, last = rows.step_offsets[:-1], rows.step_offsets[1:] - 1
    t_step = rows.t_step_ns
    span = t_step[last] - t_step[first]
    by_device = rows.device_step_ns
    has_device = bool((by_device != MISSING_NS).all())
    generation = by_device[last] - by_device[first] if has_device else span
    several = rows.n_steps > 1
    gaps = np.delete(np.diff(t_step), last[:-1])
    return {
        "ttft": _series("ttft", t_step[first] - rows.columns["t_start_ns"], percentiles),
        "tpot": _series("tpot", span[several] / (rows.n_steps[several] - 1), percentiles),
        "itl": _series("itl", gaps, percentiles, independent=False),
        "generation": _series("generation", generation, percentiles),
    }


def _lengths(rows: IterationRecords) -> Lengths:
    columns = rows.columns
    asked = int(columns["osl_requested"][0])
    known = columns["n_tokens"] >= 0
    if asked < 0 or not known.any():
        return Lengths(asked if asked >= 0 else None, None, None, 0, None)
    off = known & ((columns["osl_min"] != asked) | (columns["osl_max"] != asked))
    return Lengths(
        asked,
        int(columns["osl_min"][known].min()),
        int(columns["osl_max"][known].max()),
        int(off.sum()),
        float(columns["n_tokens"][known].mean()),
    )


def _throughput(
    rows: IterationRecords, series: dict[str, Series], lengths: Lengths, after_first: float | None
) -> dict[str, float | None]:
    batch_size, isl = int(rows.columns["batch_size"][0]), int(rows.columns["isl_requested"][0])
    tokens = lengths.tokens_per_iteration
    if tokens is None and lengths.requested is not None:
        tokens = float(batch_size * lengths.requested)
    return {
        "output_throughput": _rate(tokens, series.get("latency")),
        "row_throughput": _rate(float(batch_size), series.get("latency")),
        "prefill_throughput": _rate(float(batch_size * isl), series.get("ttft")),
        "decode_throughput": _rate(after_first, series.get("generation")) if after_first else None,
    }


def _rate(count: float | None, per: Series | None) -> float | None:
    mean_ns = per.distribution.mean if per is not None else None
    return units.per_s(count, mean_ns) if count is not None and mean_ns else None
