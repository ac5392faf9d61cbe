from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenclock.metrics.facts import RunFacts
from tokenclock.report import pytorch_benchmark_file


def test_one_record_per_metric_that_was_measured(tmp_path: Path, make_result: Any) -> None:
    result = make_result([{"sent": 0, "tokens": [10_000_000]}], RunFacts(model="m"))
    path = pytorch_benchmark_file.pytorch_path(tmp_path / "run.json")
    assert path.name == "run.pytorch.json"
    pytorch_benchmark_file.write(result, path)
    records = json.loads(path.read_text())
    names = [record["metric"]["name"] for record in records]
    assert names == ["mean_ttft_ms", "median_ttft_ms", "std_ttft_ms", "p99_ttft_ms"]  # one token: no TPOT, no ITL
    assert records[0]["metric"]["benchmark_values"] == [10.0]
    assert records[0]["metric"]["extra_info"]["completed"] == 1
    assert records[0]["model"] == {"name": "m"}
    assert records[0]["benchmark"]["extra_info"]["args"]["command"] == "serving"


def test_only_on_request_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAVE_TO_PYTORCH_BENCHMARK_FORMAT", raising=False)
    assert not pytorch_benchmark_file.is_wanted()
    monkeypatch.setenv("SAVE_TO_PYTORCH_BENCHMARK_FORMAT", "1")
    assert pytorch_benchmark_file.is_wanted()
