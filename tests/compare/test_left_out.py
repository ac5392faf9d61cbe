"""What cannot be compared of other tools' files is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenclock.__main__ import main
from tokenclock.compare.left_out import left_out

GOOD = {"completed": 4, "duration": 1.0, "request_throughput": 4.0, "mean_ttft_ms": 3.0, "max_concurrency": 4}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"mean_tpot_ms": float("nan")}, ["mean_tpot_ms (NaN)"]),
        ({"p99_tpot_ms": float("inf")}, ["p99_tpot_ms (infinite)"]),
        ({"median_itl_ms": -1.5}, ["median_itl_ms (-1.5, below 0)"]),
        ({"mean_ttft_s": 0.1}, ["mean_ttft_s (in seconds; keys in ms are read)"]),
        ({"mean_e2el_ms": "n/a"}, ["mean_e2el_ms (no number: n/a)"]),
        ({"mean_e2el_ms": "1,234.5", "std_ttft_ms": float("nan"), "ttfts": [-1.0], "p99_itl_ms": None}, []),
        ({"request_rate": "inf", "input_config": {"goodput": "ttft:500"}}, []),
        ({"request_latency": {"unit": "ms", "avg": float("nan"), "std": -1}}, ["request_latency.avg (NaN)"]),
    ],
)
def test_keys_are_named(tmp_path: Path, change: dict[str, Any], expected: list[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**GOOD, **change}))
    assert left_out(path) == expected


def test_compare_says_it_in_one_line_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {f"p{n}_tpot_ms": -1.0 for n in range(90, 96)}
    (tmp_path / "a.json").write_text(json.dumps(GOOD))
    (tmp_path / "b.json").write_text(json.dumps({**GOOD, **bad, "mean_ttft_ms": 4.0}))
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tokenclock compare: {tmp_path}/b.json: left out p90_tpot_ms (-1, below 0), ")
    assert line.endswith(" and 2 more")


KEYS = st.sampled_from(["mean_ttft_ms", "avg", "request_latency", ""])
LEAVES = st.none() | st.booleans() | st.floats() | st.text()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)))
def test_any_json_is_walked(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(value))
    assert all("(" in said for said in left_out(path))
