"""How often the gate is wrong, over a few hundred simulated histories; `make simulate` has the long form."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulate.baselines import NOISES, alarms, called_of_cases, caught_at_once, runs_until_caught


@pytest.mark.parametrize("noise", ["0.5 %", "2 %", "5 %", "2 %, heavy tails", "2 %, skewed", "2 %, wandering"])
def test_false_alarms_are_rare(noise) -> None:
    assert alarms(NOISES[noise], n=300) < 0.05


def test_all_metrics_of_a_case_together_too() -> None:
    assert called_of_cases(NOISES["2 %"], metrics=12, shared=0.5, n=60) < 0.05


def test_ten_percent_are_caught_and_one_is_not_claimed() -> None:
    assert caught_at_once(NOISES["2 %"], 1.10, n=300) > 0.9
    assert caught_at_once(NOISES["2 %"], 1.01, n=300) < 0.05


def test_a_regression_stays_one_until_it_is_accepted() -> None:
    noise = NOISES["2 %"]
    assert runs_until_caught(noise, lambda _: 1.1, n=30, runs=10, then=20)[1] > 0.9
    assert runs_until_caught(noise, lambda _: 1.1, n=30, runs=10, then=20, pins=False)[1] < 0.5


def test_a_slow_drift_is_caught_against_what_was_accepted() -> None:
    delays, _ = runs_until_caught(NOISES["2 %"], lambda i: 1.005**i, n=60, runs=40, accepted=True)
    assert np.isfinite(delays).all()
    assert np.median(delays) < 14  # 14 runs are 7 %
