"""Change points: the statistic by hand, and what is found in simulated histories."""

from __future__ import annotations

import itertools
import time

import numpy as np
import numpy.typing as npt
import pytest

from tokenclock.store.change_points import ChangePoint, change_points, segments
from tokenclock.store.change_points_energy import energy_statistics

Floats = npt.NDArray[np.float64]


def noise(seed: int, n: int) -> Floats:
    return 100 + np.random.default_rng(seed).normal(size=n)


def by_definition(values: Floats) -> list[float]:
    """Pair by pair, as the paper writes it."""
    n = len(values)
    found = []
    for cut in range(2, n - 1):
        x, y = values[:cut], values[cut:]
        across = np.mean([abs(a - b) for a in x for b in y])
        own = [np.mean([abs(a - b) for a, b in itertools.combinations(side, 2)]) for side in (x, y)]
        found.append(float(cut * (n - cut) / n * (2 * across - sum(own))))
    return found


def test_the_statistic_of_four_values_by_hand() -> None:
    # X = 0, 2 and Y = 5, 6: between 5, 6, 3, 4: mean 4.5; within 2 and 1; 2 * 2 / 4 * (9 - 2 - 1) = 6
    assert energy_statistics(np.array([[0.0, 2.0, 5.0, 6.0]])).tolist() == [[6.0]]


@pytest.mark.parametrize("n", [4, 5, 31, 32, 33, 64, 65, 97])
def test_the_statistic_is_that_of_the_definition_also_with_ties(n: int) -> None:
    values = np.random.default_rng(n).normal(size=(2, n))
    values[1] = np.round(values[1])
    found = energy_statistics(values)
    for row, series in zip(found, values, strict=True):
        np.testing.assert_allclose(row, by_definition(series), rtol=1e-9, atol=1e-9)


def test_noise_alone_raises_an_alarm_in_5_percent_of_series_at_most() -> None:
    alarms = sum(bool(change_points(noise(seed, 60), minimum_change=0)) for seed in range(300))
    assert alarms <= 15


def test_a_step_of_three_sigma_is_found_at_its_place() -> None:
    places = np.random.default_rng(7).integers(8, 52, size=100)
    near = 0
    for seed, place in enumerate(places):
        series = noise(seed, 60)
        series[place:] += 3
        found = change_points(series)
        assert len(found) == 1, (seed, place, found)
        near += abs(found[0].index - place) <= 2
        assert found[0].ratio == pytest.approx(1.03, abs=0.02)
    assert near >= 97


def test_a_step_in_the_newest_six_runs_is_found() -> None:
    found = 0
    for seed in range(20):
        series = noise(seed, 40)
        series[-6:] += 5
        found += [abs(change.index - 34) <= 2 for change in change_points(series)] == [True]
    assert found >= 19


@pytest.mark.parametrize("length", [10, 20])
def test_a_change_that_is_undone_does_not_hide(length: int) -> None:
    for seed in range(10):
        series = noise(seed, 100)
        series[40 : 40 + length] += 6
        assert [change.ratio > 1 for change in change_points(series)] == [True, False], seed


def test_one_outlier_is_no_change() -> None:
    for seed in range(60):
        series = noise(seed, 60)
        series[seed] += 50
        assert change_points(series) == []


def test_a_drift_is_steps_in_its_direction() -> None:
    found = change_points(noise(3, 200) + np.linspace(0, 12, 200))
    assert len(found) >= 2
    assert all(change.ratio > 1 for change in found)


def test_what_is_small_against_its_level_is_no_change() -> None:
    series = noise(1, 100)
    series[50:] += 3
    assert len(change_points(series)) == 1
    assert change_points(series, minimum_change=0.05) == []
    assert change_points(series + 1000) == []  # 3 of 1100 is 0.3 %


def test_a_step_without_noise_and_means_by_hand() -> None:
    found = change_points([10.0] * 8 + [20.0] * 6)
    assert [(change.index, change.before, change.after, change.t_p) for change in found] == [(8, 10.0, 20.0, 0.0)]
    assert found[0].p == 0.01
    assert segments(14, found) == [(0, 8), (8, 14)]


@pytest.mark.parametrize("series", [[], [1.0], [5.0] * 40, [1.0, 2.0] * 4 + [9.0], [1e9] * 12 + [1e9 + 1e-4] * 12])
def test_too_few_values_or_none_that_differ_have_no_change(series: list[float]) -> None:
    assert change_points(series) == []


def test_it_is_the_same_each_time_and_in_any_unit() -> None:
    series = noise(5, 120)
    series[70:] *= 1.03
    found = change_points(series)
    assert found
    assert change_points(series) == found
    assert [change.index for change in change_points(series * 1e6)] == [change.index for change in found]


@pytest.mark.parametrize(
    "options", [{"minimum_segment": 1}, {"significance": 0.0}, {"minimum_change": -1}, {"seed": -1}]
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected minimum_segment >= 2"):
        change_points([1.0] * 20, **options)  # type: ignore[arg-type]


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        change_points([1.0, float("nan")])


def test_the_ratio_to_nothing() -> None:
    assert ChangePoint(1, 0.0, 2.0, 0.01, 0.0).ratio == float("inf")
    assert np.isnan(ChangePoint(1, 0.0, 0.0, 0.01, 0.0).ratio)


@pytest.mark.timing
def test_2000_values_with_two_changes_take_seconds() -> None:
    series = noise(1, 2000)
    series[700:] += 3
    series[1400:] += 3
    times = []
    for _ in range(3):
        begun_s = time.perf_counter()
        assert len(change_points(series)) == 2
        times.append(time.perf_counter() - begun_s)
    assert sorted(times)[1] < 8
