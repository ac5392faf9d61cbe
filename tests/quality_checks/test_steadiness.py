from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokenclock.metrics.facts import RunFacts
from tokenclock.quality_checks.figure import Figure
from tokenclock.quality_checks.steadiness import steadiness_figures

MS = 1_000_000
CLOSED = RunFacts(max_concurrency=1)


def run(ttfts_ms: Any) -> list[dict[str, Any]]:
    """One request after the other, each with a token after its TTFT and two more, 10 ms apart."""
    requests, t = [], 0
    for ttft in ttfts_ms:
        first = t + round(ttft * MS)
        requests.append({"sent": t, "tokens": [first, first + 10 * MS, first + 20 * MS]})
        t = first + 20 * MS
    return requests


def figures(make_records: Any, requests: list[dict[str, Any]], facts: RunFacts = CLOSED) -> dict[str, Figure]:
    return {figure.tag: figure for figure in steadiness_figures(make_records(requests), facts)}


def noise(n: int = 300, seed: int = 0) -> np.ndarray:
    return 30 + 5 * np.random.default_rng(seed).random(n)


def test_a_steady_run(make_records: Any) -> None:
    found = figures(make_records, run(noise()))
    assert found["steady"].value == 0
    assert found["drift"].value == 0
    assert found["silence"].value == 0
    assert found["silence"].details["longest_ns"] == pytest.approx(35 * MS, abs=MS)


def test_a_server_that_grows_slower(make_records: Any) -> None:
    found = figures(make_records, run(noise() * np.linspace(1, 1.6, 300)))["drift"]
    assert found.value == pytest.approx(0.46, abs=0.06)
    assert found.details["metric"] == "TTFT"
    assert found.details["change"] == found.value


def test_a_server_that_grows_faster_all_at_once(make_records: Any) -> None:
    found = figures(make_records, run(np.where(np.arange(300) < 150, 1.4, 1.0) * noise()))["drift"]
    assert found.details["kind"] == "level shift"
    assert found.details["change"] == pytest.approx(-0.34, abs=0.06)


def test_a_server_that_stood_still(make_records: Any) -> None:
    ttfts = noise()
    ttfts[100] = 900
    found = figures(make_records, run(ttfts))["silence"]
    assert found.details["longest_ns"] == 900 * MS
    assert found.value == pytest.approx(900 / np.median(ttfts), rel=0.01)


def test_half_a_second_is_not_judged(make_records: Any) -> None:
    ttfts = noise()
    ttfts[100] = 499
    assert figures(make_records, run(ttfts))["silence"].value == 0


def test_a_run_too_short_for_a_steady_part(make_records: Any) -> None:
    found = figures(make_records, run(noise(3)))
    assert found["steady"].value == 1
    assert "raise --num-prompts" in str(found["steady"].details["why"])
    assert "drift" not in found


def test_too_few_windows_cannot_show_drift(make_records: Any) -> None:
    assert figures(make_records, run(noise(12)))["drift"].value is None


def test_a_burst_is_no_load_to_be_steady(make_records: Any) -> None:
    burst = [{**request, "sent": 0} for request in run(noise(20))]
    assert set(figures(make_records, burst, RunFacts())) == {"silence"}
    assert figures(make_records, []) == {}


def test_without_a_stream_the_end_is_judged(make_records: Any) -> None:
    requests = [{"sent": r["sent"], "last": r["tokens"][-1], "osl": 3} for r in run(noise() * np.linspace(1, 2, 300))]
    found = figures(make_records, requests, RunFacts(max_concurrency=1, streaming=False))
    assert found["drift"].details["metric"] == "E2EL"
    assert "silence" not in found
