"""The knee and the Pareto front of points written by hand."""

from __future__ import annotations

from tokenclock.sweep.curves import Load, find_knee, pareto_front


def loads(*rows: tuple[int, float, float]) -> list[Load]:
    return [Load(n, rate, e2el) for n, rate, e2el in rows]


def test_the_knee_has_the_highest_power() -> None:
    """Power: 100/1 = 100, 190/1.1 = 173, 340/1.3 = 262, 400/2.4 = 167; 95 % of 400 is first reached at 8."""
    knee = find_knee(loads((1, 100, 1.0), (2, 190, 1.1), (4, 340, 1.3), (8, 400, 2.4)))
    assert knee is not None
    assert (knee.concurrency, knee.saturated_from, knee.is_inside, knee.of_each_run) == (4, 8, True, (4,))


def test_repeats_show_how_much_luck_there_is() -> None:
    first = [(1, 100, 1.0), (2, 180, 1.0), (4, 200, 2.0)]
    second = [(1, 100, 1.0), (2, 180, 1.0), (4, 900, 2.0)]
    third = [(1, 100, 1.0), (2, 180, 1.0), (4, 210, 2.0)]
    knee = find_knee(loads(*first, *second, *third))
    assert knee is not None
    assert (knee.concurrency, knee.of_each_run) == (2, (2, 4, 2))


def test_two_loads_have_no_knee_and_the_last_one_is_no_inside() -> None:
    assert find_knee(loads((1, 1, 1), (2, 2, 1))) is None
    knee = find_knee(loads((1, 1, 1), (2, 2, 1), (4, 4, 1)))
    assert knee is not None
    assert not knee.is_inside


def test_the_front_is_what_nothing_beats() -> None:
    points = {"a": (100.0, 10.0), "b": (50.0, 40.0), "c": (50.0, 30.0), "d": (20.0, 50.0), "e": (20.0, 50.0)}
    assert pareto_front(points) == ["a", "b", "d", "e"]
    assert pareto_front({}) == []
