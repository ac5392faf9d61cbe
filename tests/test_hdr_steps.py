"""Walks over a histogram: against what the Java implementation printed, and by hand."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenclock import HdrHistogram, read_hlog
from tokenclock.hdr_steps import HdrStep

GOLDEN = Path(__file__).parent / "golden"
INT64_MAX = 2**63 - 1

untimed = settings(deadline=None)


def of(values: list[int], lowest: int = 1, highest: int = 100_000, digits: int = 2) -> HdrHistogram:
    histogram = HdrHistogram(lowest, highest, digits)
    assert histogram.record_many(values) == len(values)
    return histogram


# Printed by HdrHistogram 2.2.2 (Java) while it walked the histograms of hdr_java.hlog and the small one below: name and
# arguments, then value from, value to, count at value, count in step, total count to value, percentile, its level.
def java_walks() -> dict[tuple[str, str], list[HdrStep]]:
    walks = defaultdict(list)
    histogram = ""
    for line in (GOLDEN / "hdr_java_steps.tsv").read_text().splitlines():
        name, *fields = line.split("\t")
        if name.startswith(("histogram", "small")):
            histogram = name
        else:
            walks[histogram, name].append(HdrStep(*map(int, fields[:5]), *map(float, fields[5:])))  # type: ignore[arg-type]
    return dict(walks)


WALKS = java_walks()


def walk(histogram: HdrHistogram, name: str) -> Iterator[HdrStep]:
    kind, *words = name.split()
    arguments = [float(word) if "." in word else int(word) for word in words]
    steps: Iterator[HdrStep] = getattr(histogram, f"iter_{kind}")(*arguments)
    return steps


@pytest.mark.parametrize(("histogram", "name"), WALKS, ids=[f"{h}-{name}" for h, name in WALKS])
def test_steps_are_those_of_the_java_implementation(histogram: str, name: str) -> None:
    if histogram == "small":
        subject = of([0, 1, 255, 256, 257, 511, 700, 1023, 1024, 1030])
    else:
        subject = list(read_hlog(GOLDEN / "hdr_java.hlog"))[int(histogram.split()[1])].histogram
    assert list(islice(walk(subject, name), 1000)) == WALKS[histogram, name]


def test_the_walks_of_java_are_all_there() -> None:
    assert {name.split()[0] for _, name in WALKS} == {"recorded", "linear", "logarithmic", "percentiles"}
    assert sum(len(steps) for steps in WALKS.values()) > 500


def test_recorded_by_hand() -> None:
    steps = list(of([3, 3, 3, 900]).iter_recorded())
    assert steps == [HdrStep(0, 3, 3, 3, 3, 75.0, 75.0), HdrStep(3, 903, 1, 1, 4, 100.0, 100.0)]


def test_linear_by_hand() -> None:
    steps = list(of([0, 9, 10, 25]).iter_linear(10))
    assert [(s.value_from, s.value_to, s.n_in_step) for s in steps] == [(0, 9, 2), (9, 19, 1), (19, 29, 1)]
    assert [s.n_at_value for s in steps] == [1, 0, 0]


def test_logarithmic_by_hand() -> None:
    steps = list(of([0, 9, 10, 25]).iter_logarithmic(10))
    assert [(s.value_to, s.n_in_step) for s in steps] == [(9, 2), (19, 1), (39, 1)]


def test_percentiles_by_hand() -> None:
    steps = list(of([10, 20, 30, 40]).iter_percentiles(1))
    assert [(s.percentile_level, s.value_to) for s in steps] == [
        (0.0, 10),
        (50.0, 20),
        (75.0, 30),
        (87.5, 40),
        (100.0, 40),
    ]


def test_an_empty_histogram_has_no_steps() -> None:
    for name in ("recorded", "linear 10", "logarithmic 1 2.0", "percentiles 5"):
        assert list(walk(HdrHistogram(), name)) == []


@untimed
@given(
    st.lists(st.integers(0, INT64_MAX), min_size=1, max_size=30),
    st.sampled_from(["recorded", f"linear {2**58 + 1}", f"linear {2**70}", "logarithmic 1 3.7", "percentiles 3"]),
)
def test_a_walk_ends_and_passes_every_value(values: list[int], name: str) -> None:
    histogram = of(values, highest=INT64_MAX)
    steps = list(islice(walk(histogram, name), 5_000))
    assert len(steps) < 5_000
    assert sum(s.n_in_step for s in steps) == steps[-1].n_up_to_value == len(values)
    assert steps[-1].percentile == steps[-1].percentile_level == 100.0
    assert steps[-1].value_to >= max(values)
    assert [s.value_from for s in steps] == [0, *(s.value_to for s in steps[:-1])]


def test_counts_past_what_a_percentage_can_tell_apart() -> None:
    histogram = of([700])
    histogram.record_n(3, INT64_MAX - 1)
    steps = list(islice(histogram.iter_percentiles(5), 5_000))
    assert steps[-1].n_up_to_value == INT64_MAX
    assert len(steps) < 5_000


def test_a_walk_sees_the_moment_it_was_begun() -> None:
    histogram = of([3])
    walks = [histogram.iter_recorded(), histogram.iter_linear(5), histogram.iter_percentiles()]
    histogram.record(90_000)
    assert [list(steps)[-1].n_up_to_value for steps in walks] == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("linear 0", "^step must be >= 1, got 0$"),
        ("logarithmic 0 2.0", "^first_step must be >= 1, got 0$"),
        ("logarithmic 1 1.0", "^base must be > 1 and finite, got 1.0$"),
        ("percentiles 0", "^ticks_per_half_distance must be >= 1, got 0$"),
    ],
)
def test_arguments_are_checked_at_once(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        walk(of([3]), name)
    with pytest.raises(ValueError, match="base must be > 1"):
        of([3]).iter_logarithmic(1, math.inf)
