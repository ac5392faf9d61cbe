"""A paced server whose gaps grow by a known share: 10 % is a regression, 1 % is not claimed, and a repair is seen.

Every run is a real load test with its own start of the server, judged by the gate of performance tests.
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from tokenclock import PacedServer
from tokenclock.__main__ import main
from tokenclock.baselines.decide import Decision
from tokenclock.perftest.gate_case import gate_case
from tokenclock.readers.ours import OwnResult
from tokenclock.readers.read import read_file
from tokenclock.units import NS_PER_MS

pytestmark = pytest.mark.skipif("TOKENCLOCK_LONG" not in os.environ, reason="thirteen load tests: make long")

ITL_MS, LABEL = 10.0, "paced-bench-float16-maxbs:512-maxnt:2048-input_output_len:16,24"
METRICS = {"OUTPUT_TOKEN_TIME": "tpot", "MEDIAN_INTER_TOKEN_TIME": "itl", "INFERENCE_TIME": "e2el"}
ATTEMPTS = 3
SURE = "MEDIAN_INTER_TOKEN_TIME"
"""A median of gaps moves with the server alone; means move with whatever else this machine does."""


def measured(path: Path, slowdown: float) -> tuple[str, dict[str, float]]:
    """State and values of one load test."""
    with PacedServer(mode="batch", itl_ms=ITL_MS * slowdown, ttft_ms=20.0) as server:
        words = ["serving", "--base-url", server.url, "--model", "paced", "--dataset-name", "random"]
        words += ["--random-input-len", "16", "--random-output-len", "24", "--num-prompts", "48"]
        words += ["--max-concurrency", "4", "--save-result", "--result-filename", str(path)]
        assert main(words) in (0, 3)
    (found,) = read_file(path)
    assert isinstance(found, OwnResult)
    latencies = found.result.latencies
    values = {
        metric: (latencies[tag]["percentiles"]["rank"]["50"] if metric.startswith("MEDIAN") else latencies[tag]["mean"])
        / NS_PER_MS
        for metric, tag in METRICS.items()
    }
    return "invalid" if found.result.quality.verdict == "INVALID" else "valid", values


def judged(folder: Path, name: str, slowdown: float) -> dict[str, Decision]:
    """One run with the repeats that the gate asks for, added to the history after it was judged."""
    for attempt in range(ATTEMPTS):
        path = folder / f"{name} {attempt}.json"
        state, values = measured(path, slowdown)
        if state == "valid":
            break
    numbers = iter(range(2, 100))

    def again() -> dict[str, float]:
        (folder / f"repeat-{(number := next(numbers))}").mkdir(exist_ok=True)
        return measured(folder / f"repeat-{number}" / path.name, slowdown)[1]

    outcome = SimpleNamespace(
        case=SimpleNamespace(canonical=LABEL, name=f"perf/test_perf.py::test_perf[{LABEL}]"), state=state,
        reason="" if state == "valid" else "the measurement's quality", repeats=(values,), results=(path,),
        rows=(SimpleNamespace(started=datetime.now(timezone.utc)),), folder=folder,
    )  # fmt: skip
    settings = SimpleNamespace(history=str(folder / "history.db"), max_repeats=5)
    decisions = {one.metric: one for one in gate_case(outcome, settings, again).decisions}  # type: ignore[arg-type]
    for one in decisions.values():
        print(f"  {name}: {one.metric} {one.value:.3f} ms, {one.verdict}: {one.reason}")
    return decisions


def test_what_is_planted_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print()
        for i in range(6):
            judged(tmp_path, f"run {i}", 1.0)
        one = judged(tmp_path, "1 % slower", 1.01)
        assert {found.verdict for found in one.values()} <= {"no difference shown", "too noisy"}
        ten = judged(tmp_path, "10 % slower", 1.10)
        assert ten[SURE].verdict == "regression"
        assert ten[SURE].ratio == pytest.approx(1.10, abs=0.02)
        for i in range(4):
            again = judged(tmp_path, f"10 % slower, {i}", 1.10)
            assert again[SURE].verdict == "regression"
            assert "baseline pinned" in again[SURE].reason
        assert judged(tmp_path, "repaired", 1.0)[SURE].verdict == "no difference shown"
    shown = tmp_path / "shown.json"
    assert main(["baseline", "show", "--history", str(tmp_path / "history.db"), "--json", str(shown)]) == 0
    pins = [one["pin"]["reason"] for one in json.loads(shown.read_text())["baselines"] if one["pin"]]
    assert pins
    assert all("not accepted yet" in reason for reason in pins)
