from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tokenclock.metrics.facts import RunFacts
from tokenclock.report import interval_block

MS = 1_000_000


def closed_loop(n: int) -> list[dict[str, Any]]:
    rng, requests, t = np.random.default_rng(0), [], 0
    for _ in range(n):
        first = t + round(rng.uniform(5, 15) * MS)
        requests.append({"sent": t, "tokens": [first, first + 10 * MS]})
        t = first + 10 * MS
    return requests


def test_bounds_of_each_shown_number(make_result: Any) -> None:
    facts = RunFacts(max_concurrency=1, percentile_metrics=("ttft", "itl"), metric_percentiles=(75.0,))
    result = make_result(closed_loop(500), facts)
    text = interval_block.render(result)
    lines = text.splitlines()
    assert lines[0] == " 95 % intervals, whole run ".center(50, "=")
    assert " 95 % intervals, steady part ".center(50, "=") in lines
    assert lines[1] == "Counted by:                   independent requests"
    labels = [line.partition(":")[0] for line in lines[3:12]]
    assert labels[:6] == [
        "TTFT mean (ms)", "TTFT p50 (ms)", "TTFT p75 (ms)", "TTFT p90 (ms)", "TTFT p99 (ms)", "ITL mean (ms)",
    ]  # fmt: skip
    found = result.confidence["latencies"]["ttft"]["mean"]
    assert lines[3].endswith(f" {found['low'] / MS:.2f} to {found['high'] / MS:.2f}")
    assert lines[-1] == "=" * 50
    assert max(len(line) for line in lines) <= 50


def test_what_has_no_interval_says_why_once(make_result: Any) -> None:
    facts = RunFacts(max_concurrency=2, percentile_metrics=("ttft", "tpot"))
    text = interval_block.render(make_result([{"sent": i, "tokens": [9 * MS, 19 * MS]} for i in range(4)], facts))
    assert "TTFT p99 (ms):                           n/a\n" in text
    said = " ".join(line.strip() for line in text.splitlines())
    assert "n/a: TTFT mean, TTFT p50, TTFT p90, TTFT p99, TPOT mean" in said
    assert said.count("needs 10") == 1


def test_a_file_of_an_older_schema_has_no_block(make_result: Any) -> None:
    result = make_result([], RunFacts())
    assert interval_block.render(dataclasses.replace(result, steady=None, confidence=None)) == ""
    assert interval_block.render(result).startswith("=")
