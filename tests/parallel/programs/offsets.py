"""Prints on rank 0 the clock offsets of all ranks, measured twice, and how far their clocks of the day agree."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from tokenclock.parallel import connect
from tokenclock.parallel.clock_offset import measure_offsets

world = connect()
first, second = measure_offsets(world), measure_offsets(world)
hosts = world.gather(world.host)
ahead_ns = world.gather(time.perf_counter_ns() - time.time_ns())
if hosts is not None and ahead_ns is not None:
    found = [[asdict(offset) for offset in offsets] for offsets in (first, second)]
    by_day = [ahead - ahead_ns[0] for ahead in ahead_ns]  # what the offset should be, as time of day is shared here
    print(json.dumps({"offsets": found, "hosts": hosts, "by_day_ns": by_day}))
