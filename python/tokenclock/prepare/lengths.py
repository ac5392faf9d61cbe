"""How long rows are: lengths in tokens drawn from the plan's distribution, all before the first row is written."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenclock.plan_checks import LONGEST
from tokenclock.prepare.plan import HistLengths, MixLengths, PreparePlan, RealData, UnifLengths
from tokenclock.workload.streams import stream

__all__ = ["DrawnLengths", "compat_normal", "draw_lengths", "whole_lengths"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class DrawnLengths:
    """Lengths of every row, shared prefix left out of the input's, and how many were cut to a limit."""

    isl: Ints
    osl: Ints
    n_cut_input: int
    n_cut_output: int


def draw_lengths(plan: PreparePlan) -> DrawnLengths:
    """The lengths of all rows of a synthetic plan, from two streams that know nothing of each other.

    With `compat` both come from the same seed, as in the original: input and output lengths then rise and fall
    together. Raises UsageError for a trace that cannot be read.
    """
    isl, osl = _drawn(plan)
    room = None if plan.max_input_len is None else plan.max_input_len - plan.prefixes.length
    isl, n_cut_input = _cut(isl, room)
    osl, n_cut_output = _cut(osl, plan.max_output_len)
    return DrawnLengths(isl, osl, n_cut_input, n_cut_output)


def _drawn(plan: PreparePlan) -> tuple[Ints, Ints]:
    source, n = plan.source, plan.num_requests
    assert n is not None
    assert not isinstance(source, RealData)
    if isinstance(source, HistLengths):
        return _of_trace(source, n, plan.seed)
    if isinstance(source, MixLengths):
        weights = np.array([weight for weight, _ in source.components])
        picked = stream("rows", plan.seed).choice(len(weights), size=n, p=weights / weights.sum())
        drawn_isl, drawn_osl = np.empty(n), np.empty(n)
        of_input, of_output = _generators(plan.seed)
        for number, (_, component) in enumerate(source.components):
            rows = np.flatnonzero(picked == number)
            drawn_isl[rows] = _normal(of_input, component.input_mean, component.input_stdev, len(rows))
            drawn_osl[rows] = _normal(of_output, component.output_mean, component.output_stdev, len(rows))
        return whole_lengths(drawn_isl), whole_lengths(drawn_osl)
    if isinstance(source, UnifLengths):
        if plan.compat:
            of_input, of_output = np.random.default_rng(plan.seed), np.random.default_rng(plan.seed)
        else:
            of_input, of_output = _generators(plan.seed)
        isl_whole = of_input.integers(source.input_min, source.input_max, size=n, endpoint=True)
        osl_whole = of_output.integers(source.output_min, source.output_max, size=n, endpoint=True)
        return isl_whole.astype(np.int32), osl_whole.astype(np.int32)
    if plan.compat:
        asked = ((source.input_mean, source.input_stdev), (source.output_mean, source.output_stdev))
        isl, osl = (compat_normal(plan.seed, mean, stdev, n) for mean, stdev in asked)
        return isl, osl
    draw = _lognormal if source.lognormal else _normal
    of_input, of_output = _generators(plan.seed)
    return (
        whole_lengths(draw(of_input, source.input_mean, source.input_stdev, n)),
        whole_lengths(draw(of_output, source.output_mean, source.output_stdev, n)),
    )


def _generators(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    return stream("input_lengths", seed), stream("output_lengths", seed)


def _normal(generator: np.random.Generator, mean: float, stdev: float, count: int) -> Floats:
    return generator.normal(mean, stdev, size=count)


def _lognormal(generator: np.random.Generator, mean: float, stdev: float, count: int) -> Floats:
    """Of the given mean and standard deviation themselves, not those of the logarithm."""
    variance = math.log1p((stdev / mean) ** 2)
    return generator.lognormal(math.log(mean) - variance / 2, math.sqrt(variance), size=count)


def whole_lengths(drawn: Floats) -> Ints:
    """Rounded to the nearest token, so that the mean stays where it was; 1 at least."""
    return np.clip(np.rint(drawn), 1, LONGEST).astype(np.int32)


def compat_normal(seed: int, mean: float, stdev: float, count: int) -> Ints:
    """The original's normal lengths: its legacy generator, rounded up, 1 at least."""
    drawn = np.random.RandomState(seed).normal(loc=mean, scale=stdev, size=count)
    return np.clip(np.ceil(drawn), 1, LONGEST).astype(np.int32)


def _of_trace(source: HistLengths, n: int, seed: int) -> tuple[Ints, Ints]:
    from tokenclock.workload.datasets.trace_reading import read_trace

    trace = read_trace(source.trace, source.trace_format, flag="--trace")
    rows = stream("rows", seed).integers(len(trace.isl), size=n)
    others = stream("output_lengths", seed).integers(len(trace.isl), size=n) if source.independent else rows
    return trace.isl[rows].astype(np.int32), trace.osl[others].astype(np.int32)


def _cut(lengths: Ints, limit: int | None) -> tuple[Ints, int]:
    if limit is None:
        return lengths, 0
    return np.minimum(lengths, np.int32(limit)), int(np.count_nonzero(lengths > limit))
