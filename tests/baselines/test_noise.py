"""The spread of a history, without its outliers and steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tokenclock.baselines.noise import FLOOR, median_variance, noise_of, pooled


def test_of_plain_runs_it_is_the_standard_deviation() -> None:
    logs = [0.0, 0.02, -0.02, 0.01, -0.01]
    found = noise_of(logs)
    assert found.sigma == pytest.approx(math.sqrt((2 * 0.02**2 + 2 * 0.01**2) / 4))
    assert (found.dof, found.n_outliers, found.n_levels) == (4, 0, 1)


def test_an_outlier_is_left_out_and_a_second_kind_of_run_is_not() -> None:
    logs = [0.0, 0.01, -0.01, 0.01, 0.0, -0.01, 0.01, 0.0, -0.01, 0.0]
    plain = noise_of(logs)
    one = noise_of([*logs[:6], 0.3, *logs[6:]])
    assert one.n_outliers == 1
    assert one.sigma == pytest.approx(plain.sigma)
    two_kinds = noise_of([*logs[:6], 0.08, *logs[6:8], 0.08])
    assert two_kinds.n_outliers == 0
    assert two_kinds.sigma > 0.03


def test_a_step_is_no_noise() -> None:
    logs = [0.0, 0.01, -0.01, 0.0, 0.01, -0.01]
    found = noise_of([*logs, *(one + 0.2 for one in logs)])
    assert found.n_levels == 2
    assert found.dof == 10
    assert found.sigma == pytest.approx(math.sqrt(8 * 0.01**2 / 10))


def test_two_steps_there_and_back() -> None:
    logs = [0.0, 0.01, -0.01, 0.0, 0.01, -0.01]
    found = noise_of([*logs, *(one + 0.2 for one in logs), *logs])
    assert found.n_levels == 3


def test_runs_that_are_all_alike_are_not_believed() -> None:
    assert noise_of([1.0] * 5).sigma == FLOOR


def test_two_parts_are_pooled_unless_the_later_one_holds_a_step() -> None:
    first = noise_of([0.0, 0.01, -0.01, 0.01, -0.01])
    alike = pooled(first, noise_of([0.3, 0.31, 0.29]))
    assert alike.dof == 6
    assert alike.sigma == pytest.approx(0.01)
    assert pooled(first, noise_of([0.3, 0.0, 0.3])) == first
    noisier = noise_of([0.05, -0.05, 0.05, -0.05, 0.05, -0.05, 0.05, -0.05])
    assert pooled(first, noisier).sigma > 0.03


def test_one_run_has_no_spread() -> None:
    with pytest.raises(ValueError, match="2 runs or more, got 1"):
        noise_of([1.0])


def test_normal_noise_is_found_without_bias() -> None:
    rng = np.random.default_rng(7)
    found = [noise_of(0.02 * rng.standard_normal(10)).sigma ** 2 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.02**2, rel=0.1)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 10, 20])
def test_the_median_varies_as_said(n) -> None:
    rng = np.random.default_rng(n)
    drawn = np.median(rng.standard_normal((100_000, n)), axis=1).var()
    assert median_variance(n) == pytest.approx(drawn, rel=0.06)


def test_between_whole_numbers_too() -> None:
    assert median_variance(1.5) == pytest.approx(0.75)
