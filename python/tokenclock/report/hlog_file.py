"""``.hlog``: an interval log of a run's latencies, which HdrHistogram's own plotters open."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime

from tokenclock.hdr import HdrHistogram
from tokenclock.hdr_log import HlogWriter

__all__ = ["write"]


def write(
    intervals: Iterable[tuple[str, float, float, HdrHistogram]], created: str, path: str | os.PathLike[str]
) -> None:
    """Write the log.

    Args:
        intervals: ``metrics.interval_histograms`` of the run.
        created: start of the run, ISO 8601.
        path: the file.

    Raises:
        OSError: it cannot be written.
    """
    start_s = datetime.fromisoformat(created).timestamp()
    comments = ["[latencies in ns, one line a second and metric; written by tokenclock report]"]
    with HlogWriter(path, start_time_s=start_s, base_time_s=start_s, comments=comments) as log:
        for tag, begin_s, end_s, histogram in intervals:
            log.write(histogram, start_s + begin_s, start_s + end_s, tag=tag)
