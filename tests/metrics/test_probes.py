from __future__ import annotations

import numpy as np

from tokenclock.metrics.probes import summarise_probes
from tokenclock.records import MISSING_NS, STATUS_NAMES

MS = 1_000_000


def test_probes_by_hand() -> None:
    statuses = ["ok", "ok", "ok", "http_error", "timeout", "cancelled", "not_sent"]
    sent = np.array([0, 10, 20, 30, 40, 50, MISSING_NS]) * 1
    columns = {
        "status": np.array([STATUS_NAMES.index(name) for name in statuses], np.uint8),
        "t_sent_ns": sent,
        "t_last_token_ns": np.array([5 * MS, 10 + 7 * MS, 20 + 30 * MS, *[MISSING_NS] * 4]),
    }
    assert summarise_probes(columns, 0.5) == {
        "rate": 0.5,
        "completed": 3,
        "failed": 2,
        "unfinished": 2,
        "e2el_ns": {"mean": 14.0 * MS, "median": 7.0 * MS, "p99": 7 * MS + 0.98 * 23 * MS, "max": 30.0 * MS},
    }


def test_no_probe_answered() -> None:
    empty = {name: np.zeros(0, np.int64) for name in ("status", "t_sent_ns", "t_last_token_ns")}
    found = summarise_probes(empty, 1.0)
    assert (found["completed"], found["failed"], found["unfinished"]) == (0, 0, 0)
    assert set(found["e2el_ns"].values()) == {None}
