"""Histograms for tests: filled ones, and everything one answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tokenclock import HdrHistogram

HOUR_NS = 3_600_000_000_000
INT64_MAX = 2**63 - 1
PERCENTILES = [0.0, 1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0]


def filled(values: list[int], *, significant_digits: int = 3) -> HdrHistogram:
    histogram = HdrHistogram(1000, HOUR_NS, significant_digits)
    histogram.record_many(np.array(values, dtype=np.int64))
    return histogram


def facts(histogram: HdrHistogram) -> dict[str, Any]:
    """Everything the histogram answers, exact minimum and maximum included (which equality leaves out)."""
    names = ["lowest", "highest", "significant_digits", "total_count", "n_lost", "min", "max", "mean", "std"]
    return {
        **{name: getattr(histogram, name) for name in names},
        "percentiles": [histogram.value_at_percentile(p) for p in PERCENTILES],
        "counts": histogram.counts.tolist() if histogram.significant_digits < 3 else histogram.counts.sum(),
    }
