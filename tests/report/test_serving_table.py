from __future__ import annotations

import re
from typing import Any

from tokenclock.metrics.facts import RunFacts
from tokenclock.report import serving_table

MS = 1_000_000

# The sample of the tutorial that people compare with: one request of 1024 tokens in and out.
SAMPLE = """\
============ Serving Benchmark Result ============
Successful requests:                     1
Benchmark duration (s):                  1.64
Total input tokens:                      1024
Total generated tokens:                  1024
Request throughput (req/s):              0.61
Output token throughput (tok/s):         622.56
Total Token throughput (tok/s):          1245.12
User throughput (tok/s):                 623.08
Mean Request AR:                         0.9980
Median Request AR:                       0.9980
---------------Time to First Token----------------
Mean TTFT (ms):                          12.83
Median TTFT (ms):                        12.83
P99 TTFT (ms):                           12.83
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          1.59
Median TPOT (ms):                        1.59
P99 TPOT (ms):                           1.59
---------------Inter-token Latency----------------
Mean ITL (ms):                           1.59
Median ITL (ms):                         1.59
P99 ITL (ms):                            1.59
----------------End-to-end Latency----------------
Mean E2EL (ms):                          1643.44
Median E2EL (ms):                        1643.44
P99 E2EL (ms):                           1643.44
==================================================
"""

ALL = ("ttft", "tpot", "itl", "e2el")


def test_the_tutorials_sample_line_by_line(make_result: Any) -> None:
    # first token after 12.83 ms, the last of 1024 after 1643.44 ms, gaps all alike
    first, last = 12_830_000, 1_643_440_000
    tokens = [first + round(k * (last - first) / 1023) for k in range(1024)]
    request = {"sent": 0, "tokens": tokens, "isl_requested": 1024, "isl_server": 1024, "tokens_per_iteration": 0.998}
    result = make_result([request], RunFacts(percentile_metrics=ALL), client={"wall_ns": 1_644_822_000})
    lines = serving_table.render(result).splitlines()
    assert [line.rstrip() for line in lines] == SAMPLE.splitlines()
    assert {len(line) for line in lines} <= {50, 51}  # headings and rules 50, rows 40 + 1 + 10


def labels(text: str) -> list[str]:
    return [line[:40].rstrip() for line in text.splitlines() if line[40:41] == " " and not line.startswith("-")]


def test_rows_that_appear_only_when_asked_or_reported(make_result: Any) -> None:
    requests = [{"sent": 0, "tokens": [10 * MS, 30 * MS]}]
    plain = serving_table.render(make_result(requests, RunFacts()))
    assert "Request goodput" not in plain
    assert "Request AR" not in plain
    assert "E2EL" not in plain
    with_goodput = serving_table.render(make_result(requests, RunFacts(slos_ms={"ttft": 5}), client={"wall_ns": MS}))
    assert re.search(r"^Request goodput \(req/s\): {17}0\.00 {6}$", with_goodput, re.MULTILINE)


def test_percentiles_as_named(make_result: Any) -> None:
    facts = RunFacts(metric_percentiles=(50.0, 99.9), percentile_metrics=("ttft",))
    text = serving_table.render(make_result([{"sent": 0, "tokens": [10 * MS]}], facts))
    assert labels(text)[-4:] == ["Mean TTFT (ms):", "Median TTFT (ms):", "P50 TTFT (ms):", "P99.9 TTFT (ms):"]


def test_full_console_has_the_newest_rows(make_result: Any) -> None:
    requests = [{"sent": 0, "tokens": [10 * MS], "tokens_per_iteration": 2.5}, {"status": "timeout"}]
    text = serving_table.render(make_result(requests, RunFacts(percentile_metrics=("ttft",))), full=True)
    assert labels(text)[:3] == ["Total requests:", "Successful requests:", "Failed requests:"]
    assert labels(text)[-7:] == [
        "Avg Decoded Tokens per Iter:",
        "Mean TTFT (ms):",
        "Median TTFT (ms):",
        "Std Dev TTFT (ms):",
        "Min TTFT (ms):",
        "Max TTFT (ms):",
        "P99 TTFT (ms):",
    ]


def test_without_streaming_only_the_end_to_end_section(make_result: Any) -> None:
    facts = RunFacts(streaming=False, percentile_metrics=ALL)
    text = serving_table.render(make_result([{"sent": 0, "last": 30 * MS, "osl": 3}], facts))
    assert "End-to-end Latency" in text
    assert "TTFT" not in text
    assert "TPOT" not in text
    assert "ITL" not in text


def test_all_failed_shows_no_zero_as_if_measured(make_result: Any) -> None:
    text = serving_table.render(make_result([{"status": "connect_error"}], RunFacts(), client={"wall_ns": MS}))
    values = {line[:40].rstrip(): line[40:].strip() for line in text.splitlines()[1:-1] if not line.startswith("-")}
    assert values["Successful requests:"] == "0"
    measured = {key: value for key, value in values.items() if "(req/s)" in key or "(tok/s)" in key or "(ms)" in key}
    assert len(measured) == 13
    assert set(measured.values()) == {"n/a"}
