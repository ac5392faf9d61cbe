from __future__ import annotations

from typing import Any

from tokenclock.metrics.interval_histograms import interval_histograms

S = 1_000_000_000


def test_each_value_is_counted_in_the_second_it_came(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [S // 2, S + S // 4]},
            {"sent": S, "tokens": [2 * S + 1]},
            {"status": "timeout", "sent": 0},
        ]
    )
    found = [(tag, start, end, h.total_count, h.max) for tag, start, end, h in interval_histograms(records)]
    assert found == [
        ("ttft", 0.0, 1.0, 1, S // 2),
        ("e2el", 1.0, 2.0, 1, S + S // 4),
        ("itl", 1.0, 2.0, 1, S // 2 + S // 4),
        ("tpot", 1.0, 2.0, 1, S // 2 + S // 4),
        ("e2el", 2.0, 3.0, 1, S + 1),
        ("ttft", 2.0, 3.0, 1, S + 1),
    ]
