"""How metrics are called, which way is better, and in which order they stand."""

from __future__ import annotations

import pytest

from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.perftest.metrics import METRICS
from tokenclock.store.dashboard_words import in_reading_order, words_of


@pytest.mark.parametrize(
    ("name", "unit", "title", "shown"),
    [
        ("ttft.mean", "ns", "TTFT mean", "12.35 ms"),
        ("tpot.p50", "ns", "TPOT median", "12.35 ms"),
        ("e2el.p99.9", "ns", "E2EL P99.9", "12.35 ms"),
        ("output_throughput", "1/s", "Output token throughput", "12,345,678 tok/s"),
        ("request_throughput", "1/s", "Request throughput", "12,345,678 req/s"),
        ("ENGINE_SIZE", "MiB", "ENGINE_SIZE", "12,345,678 MiB"),
        ("unheard_of", "", "unheard_of", "12,345,678"),
    ],
)
def test_title_and_value(name: str, unit: str, title: str, shown: str) -> None:
    words = words_of(name, unit)
    assert words.title == title
    assert words.shown(12_345_678.0) == shown
    assert words.shown(None) == "n/a"


@pytest.mark.parametrize("tag", DEFINITIONS)
def test_direction_is_that_of_the_definition(tag: str) -> None:
    assert words_of(tag).better == DEFINITIONS[tag].better
    assert words_of(f"{tag}.p99").better == DEFINITIONS[tag].better


@pytest.mark.parametrize("name", METRICS)
def test_direction_of_a_metric_type_is_that_of_the_performance_tests(name: str) -> None:
    assert words_of(name, METRICS[name].unit).better == METRICS[name].better


def test_means_come_first_and_names_nobody_knows_last() -> None:
    names = ["zebra.p1", "ttft.p99", "BUILD_TIME", "output_throughput", "tpot.mean", "ttft.mean", "ttft.mean"]
    assert in_reading_order(names) == [
        "ttft.mean", "tpot.mean", "output_throughput", "ttft.p99", "BUILD_TIME", "zebra.p1",
    ]  # fmt: skip
