"""Cost of recording into HdrHistogram, and how far `record_many` is ahead of the pure Python `hdrhistogram` package."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram as ReferenceHistogram

from tokenclock import HdrHistogram

N_VALUES = 1_000_000
REQUIRED_RATIO = 50
VALUES = np.random.default_rng(0).lognormal(np.log(20e6), 1.0, N_VALUES).astype(np.int64)  # ns, around 20 ms
SETTINGS = (1000, 3_600_000_000_000, 4)


def median_seconds(work: Callable[[], object], n_rounds: int) -> float:
    seconds = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


@pytest.mark.parametrize("significant_digits", [1, 2, 3, 4, 5])
def test_record_many(benchmark: Any, significant_digits: int) -> None:
    histogram = HdrHistogram(1000, 3_600_000_000_000, significant_digits)
    assert benchmark(histogram.record_many, VALUES) == N_VALUES


def test_record(benchmark: Any) -> None:
    assert benchmark(HdrHistogram(*SETTINGS).record, 20_000_000)


def test_value_at_percentile(benchmark: Any) -> None:
    histogram = HdrHistogram(*SETTINGS)
    histogram.record_many(VALUES)
    assert benchmark(histogram.value_at_percentile, 99.9) > 20_000_000


def test_merge(benchmark: Any) -> None:
    histogram, part = HdrHistogram(*SETTINGS), HdrHistogram(*SETTINGS)
    part.record_many(VALUES)
    assert benchmark(histogram.merge, part) == 0


@pytest.mark.timing
def test_record_many_is_far_ahead_of_the_hdrhistogram_package(capsys: pytest.CaptureFixture[str]) -> None:
    reference = ReferenceHistogram(*SETTINGS)
    values = VALUES.tolist()

    def record_one_by_one() -> None:
        record_value = reference.record_value
        for value in values:
            record_value(value)

    ours_s = median_seconds(lambda: HdrHistogram(*SETTINGS).record_many(VALUES), 5)
    reference_s = median_seconds(record_one_by_one, 1)
    ratio = reference_s / ours_s
    with capsys.disabled():
        print(
            f"\nrecord_many of {N_VALUES} values: {ours_s * 1e3:.2f} ms ({ours_s / N_VALUES * 1e9:.2f} ns each); "
            f"hdrhistogram's record_value loop: {reference_s:.2f} s; ratio {ratio:.0f} (required {REQUIRED_RATIO})"
        )
    assert ratio >= REQUIRED_RATIO


def test_encode(benchmark: Any) -> None:
    histogram = HdrHistogram(*SETTINGS)
    histogram.record_many(VALUES)
    assert benchmark(histogram.encode).startswith("HISTFAAA")


def test_decode(benchmark: Any) -> None:
    histogram = HdrHistogram(*SETTINGS)
    histogram.record_many(VALUES)
    assert benchmark(HdrHistogram.decode, histogram.encode()) == histogram
