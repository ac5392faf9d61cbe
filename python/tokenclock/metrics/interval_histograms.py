"""Histograms of each latency, one for each second of a run: what interval logs hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tokenclock.hdr import HdrHistogram
from tokenclock.metrics import latency
from tokenclock.records import Records
from tokenclock.units import NS_PER_S

__all__ = ["interval_histograms"]


def interval_histograms(records: Records) -> Iterator[tuple[str, float, float, HdrHistogram]]:
    """Tag, start and end in s after the run's start, and the values in ns that came in between, in order of time.

    A gap (``itl``) belongs to the second of its later event; ``ttft`` to that of the first token; ``tpot`` and ``e2el``
    to that of the last. Seconds without a value are left out.
    """
    columns = records.columns
    gaps, _, t_gap = latency.timed_itl_ns(records)
    found = {
        "ttft": (latency.ttft_ns(records), columns["t_first_token_ns"]),
        "tpot": (latency.tpot_ns(records), columns["t_last_token_ns"]),
        "e2el": (latency.e2el_ns(records), columns["t_last_token_ns"]),
        "itl": (gaps.astype(np.float64), t_gap),
    }
    by_second: list[tuple[int, str, HdrHistogram]] = []
    for tag, (values, t_ns) in found.items():
        known = np.isfinite(values)
        whole, seconds = np.rint(values[known]).astype(np.int64), t_ns[known] // NS_PER_S
        for second in np.unique(seconds):
            histogram = HdrHistogram()
            histogram.record_many(whole[seconds == second])
            by_second.append((int(second), tag, histogram))
    for second, tag, histogram in sorted(by_second, key=lambda entry: entry[:2]):
        yield tag, float(second), float(second + 1), histogram
