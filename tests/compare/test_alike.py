from __future__ import annotations

from typing import Any

import pytest

from tokenclock.compare.alike import match
from tokenclock.compare.run import Load
from tokenclock.errors import UsageError

NAMES = ("a", "b")


def test_runs_meet_at_their_load(make_run: Any) -> None:
    base = [make_run(load=Load(n)) for n in (8, 4, 4, 2)]
    other = [make_run(load=Load(n)) for n in (4, 8, 16)]
    pairs, lone = match(NAMES, base, other)
    assert [(pair.load.concurrency, len(pair.base), len(pair.other)) for pair in pairs] == [(4, 2, 1), (8, 1, 1)]
    assert lone == [
        "concurrency 2, ISL 512, OSL 128: only a was measured there",
        "concurrency 16, ISL 512, OSL 128: only b was measured there",
    ]


def test_several_lengths_at_one_load_are_several_points(make_run: Any) -> None:
    base = [make_run(isl=isl, osl=osl) for isl, osl in ((512, 128), (1024, 64))]
    pairs, _ = match(NAMES, base, [make_run(isl=1030.0, osl=64.0), make_run(isl=505.0, osl=128.0)])
    assert [(pair.isl, pair.other[0].isl) for pair in pairs] == [(512, 505.0), (1024, 1030.0)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"isl": 256.0}, "at concurrency 4 a and b are not the same work: mean ISL 512.0 against 256.0"),
        ({"osl": 64.0}, "mean OSL 128.0 against 64.0"),
        ({"workload": "cd" * 32}, r"the requests differ \(workload ab against cdcdcdcd"),
        ({"endpoint": {"streaming": False}}, "streaming True against False"),
    ],
)
def test_apples_and_pears_are_refused_by_name_unless_forced(make_run: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        match(NAMES, [make_run()], [make_run(**given)])
    (pair,), _ = match(NAMES, [make_run()], [make_run(**given)], force=True)
    assert len(pair.differences) == 1


def test_what_is_not_known_is_no_difference(make_run: Any) -> None:
    foreign = make_run(isl=None, osl=None, workload=None, endpoint={}, load=Load(4, None))
    pairs, lone = match(NAMES, [make_run(load=Load(4, float("inf")))], [foreign])
    assert (len(pairs), pairs[0].differences, lone) == (1, (), [])


def test_nothing_in_common(make_run: Any) -> None:
    with pytest.raises(UsageError, match="a was measured at concurrency 4, ISL 512, OSL 128, b at concurrency 8"):
        match(NAMES, [make_run()], [make_run(load=Load(8))])
    (pair,), _ = match(NAMES, [make_run()], [make_run(load=Load(8))], force=True)
    assert pair.differences == ("concurrency 4 against concurrency 8",)


def test_one_workload_in_common_is_enough_for_repeats(make_run: Any) -> None:
    pairs, _ = match(NAMES, [make_run(workload="1"), make_run(workload="2")], [make_run(workload="2")])
    assert pairs[0].differences == ()
