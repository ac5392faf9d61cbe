from __future__ import annotations

import dataclasses
from typing import Any

from tokenclock.metrics.facts import RunFacts
from tokenclock.report import steady_block

MS = 1_000_000


def closed_loop(n: int) -> list[dict[str, Any]]:
    """One slot; the first request takes three times as long to its first token."""
    requests, t = [], 0
    for i in range(n):
        first = t + (30 if i == 0 else 10) * MS
        requests.append({"sent": t, "tokens": [first, first + 10 * MS]})
        t = first + 10 * MS
    return requests


def test_whole_run_and_steady_part_side_by_side(make_result: Any) -> None:
    text = steady_block.render(make_result(closed_loop(11), RunFacts(max_concurrency=1, percentile_metrics=("ttft",))))
    assert text == (
        "================== Steady state ==================\n"
        "Window (s after the start):           0.04 to 0.22\n"
        "Requests sent in it:                     9 of 11\n"
        "Requests under way, mean:                1.00\n"
        "------------ Whole run / steady part -------------\n"
        "TTFT mean (ms):                      11.82 / 10.00\n"
        "TTFT p50 (ms):                       10.00 / 10.00\n"
        "TTFT p99 (ms):                       30.00 / 10.00\n"
        "Requests per second:                 45.83 / 50.00\n"
        "Output tokens per second:           91.67 / 100.00\n"
        "Whole run's rates over:   first send to last token\n"
        "Percentile rule here:                    rank\n"
        "==================================================\n"
    )


def test_without_a_steady_part_one_line_says_so(make_result: Any) -> None:
    text = steady_block.render(make_result(closed_loop(2), RunFacts(max_concurrency=1)))
    body = " ".join(text.splitlines()[1:-1])
    assert body.startswith("No steady part: the load held for 0.00 s,")
    assert "raise --num-prompts to 5" in body.replace("   ", " ")
    assert max(len(line) for line in text.splitlines()) <= 50


def test_a_file_of_an_older_schema_has_no_block(make_result: Any) -> None:
    result = make_result(closed_loop(2), RunFacts(max_concurrency=1))
    assert steady_block.render(dataclasses.replace(result, steady=None)) == ""
