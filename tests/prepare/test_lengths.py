"""Lengths follow the distribution that was asked for, input and output alone; the original's draws on request."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tokenclock.prepare.lengths import draw_lengths
from tokenclock.prepare.plan import (
    HistLengths,
    Lengths,
    MixLengths,
    NormLengths,
    PrefixPlan,
    PreparePlan,
    UnifLengths,
)

N = 20_000


def plan(source: Lengths, **settings: object) -> PreparePlan:
    return PreparePlan(**{"source": source, "num_requests": N, "vocab_size": 1000, **settings})  # type: ignore[arg-type]


def normal_cdf(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def distance(sample: np.ndarray, cdf: object) -> float:
    """Kolmogorov-Smirnov distance of whole numbers from a continuous distribution that was rounded."""
    values, counts = np.unique(sample, return_counts=True)
    empirical = np.cumsum(counts) / len(sample)
    return float(max(abs(e - cdf(v + 0.5)) for v, e in zip(values.tolist(), empirical.tolist(), strict=True)))  # type: ignore[operator]


LIMIT = 1.95 / math.sqrt(N)  # 0.1 % of samples of this size lie further off


def test_normal_lengths_follow_the_normal_distribution() -> None:
    drawn = draw_lengths(plan(NormLengths(300, 40, 150, 20)))
    assert distance(drawn.isl, lambda x: normal_cdf((x - 300) / 40)) < LIMIT
    assert distance(drawn.osl, lambda x: normal_cdf((x - 150) / 20)) < LIMIT
    assert drawn.isl.mean() == pytest.approx(300, abs=4 * 40 / math.sqrt(N))  # rounding up would add 0.5


def test_lognormal_lengths_have_the_mean_and_spread_asked_for() -> None:
    drawn = draw_lengths(plan(NormLengths(300, 200, 400, 100, lognormal=True)))
    sigma = math.sqrt(math.log(1 + (200 / 300) ** 2))
    mu = math.log(300) - sigma**2 / 2
    assert distance(drawn.isl, lambda x: normal_cdf((math.log(x) - mu) / sigma)) < LIMIT
    assert drawn.isl.mean() == pytest.approx(300, rel=0.02)
    assert drawn.isl.std() == pytest.approx(200, rel=0.05)


def test_uniform_lengths_hit_every_length_alike_ends_included() -> None:
    drawn = draw_lengths(plan(UnifLengths(11, 20, 5, 5)))
    counts = np.bincount(drawn.isl)[11:]
    assert len(counts) == 10
    chi_square = ((counts - N / 10) ** 2 / (N / 10)).sum()
    assert chi_square < 27.9  # 0.1 % point at 9 degrees of freedom
    assert set(drawn.osl.tolist()) == {5}


def test_a_mixture_takes_each_component_by_its_weight() -> None:
    short, long = NormLengths(100, 1, 10, 0), NormLengths(1000, 1, 20, 0)
    drawn = draw_lengths(plan(MixLengths(((3.0, short), (1.0, long)))))
    of_short = drawn.isl < 500
    assert of_short.mean() == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / N))
    assert set(drawn.osl[of_short].tolist()) == {10}
    assert set(drawn.osl[~of_short].tolist()) == {20}


@pytest.mark.parametrize("source", [NormLengths(500, 50, 500, 50), UnifLengths(1, 999, 1, 999)])
def test_input_and_output_lengths_know_nothing_of_each_other(source: Lengths) -> None:
    drawn = draw_lengths(plan(source))
    assert abs(np.corrcoef(drawn.isl, drawn.osl)[0, 1]) < 4 / math.sqrt(N)
    original = draw_lengths(plan(source, compat=True))
    assert np.array_equal(original.isl, original.osl)  # the defect that --compat keeps


def test_compat_is_the_legacy_generator_rounded_up() -> None:
    drawn = draw_lengths(plan(NormLengths(10, 20, 7, 0), compat=True, num_requests=5, seed=420))
    expected = np.random.RandomState(420).normal(10, 20, 5)
    assert drawn.isl.tolist() == [max(1, math.ceil(x)) for x in expected]
    assert drawn.osl.tolist() == [7] * 5
    uniform = draw_lengths(plan(UnifLengths(3, 9, 3, 9), compat=True, num_requests=5, seed=7))
    assert uniform.isl.tolist() == np.random.default_rng(7).integers(3, 10, 5).tolist()


def test_limits_cut_and_count() -> None:
    drawn = draw_lengths(plan(UnifLengths(1, 100, 1, 100), max_input_len=60, max_output_len=10,
                              prefixes=PrefixPlan(2, 20)))  # fmt: skip
    assert (drawn.isl.max(), drawn.osl.max()) == (40, 10)
    whole = draw_lengths(plan(UnifLengths(1, 100, 1, 100)))
    assert drawn.n_cut_input == int((whole.isl > 40).sum())
    assert drawn.n_cut_output == int((whole.osl > 10).sum())


def test_hist_lengths_are_pairs_of_the_trace(tmp_path: object) -> None:
    path = tmp_path / "trace.jsonl"  # type: ignore[operator]
    path.write_text("".join(f'{{"timestamp": {n}, "input_length": {n + 1}, "output_length": {n + 100}}}\n'
                            for n in range(50)))  # fmt: skip
    drawn = draw_lengths(plan(HistLengths(str(path))))
    assert np.array_equal(drawn.osl - drawn.isl, np.full(N, 99))
    counts = np.bincount(drawn.isl, minlength=51)[1:]
    assert ((counts - N / 50) ** 2 / (N / 50)).sum() < 85.4  # 0.1 % point at 49 degrees of freedom
    loose = draw_lengths(plan(HistLengths(str(path), independent=True)))
    assert abs(np.corrcoef(loose.isl, loose.osl)[0, 1]) < 4 / math.sqrt(N)
