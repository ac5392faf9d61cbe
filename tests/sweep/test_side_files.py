"""What a point leaves beside its result, against a stand-in for trtllm-serve."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.servers.trtllm import trtllm_server
from tests.sweep.files import benchmark, index_of, sweep

from tokenclock.sweep.metrics_series import read_page

Write = Callable[..., Path]


@pytest.mark.parametrize("ids_match", [True, False])
def test_the_servers_times_stand_beside_ours(write: Write, tmp_path: Path, ids_match: bool) -> None:
    with trtllm_server(ids_match=ids_match, prometheus=ids_match) as server:
        flags = benchmark(**{"num-prompts": 4, "random-output-len": 3, "save-request-time-breakdown": True})
        file = write(servers=[{"name": "a", "url": server.url}], benchmark=flags, matrix={"concurrency": [2]},
                     metrics_interval=0.05)  # fmt: skip
        run = sweep(file)
    assert run.returncode == 0, run.stderr
    folder = tmp_path / "out/a"
    joined = json.loads((folder / "concurrency_2.server_times.json").read_text())
    assert joined["method"] == ("response id" if ids_match else "order")
    assert joined["n_joined"] == len(joined["requests"]) == 4
    for row in joined["requests"]:
        assert row["queue_ms"] == pytest.approx(1, abs=1e-6)
        assert row["prefill_ms"] == pytest.approx(10, abs=1e-6)
        assert row["decode_ms"] == pytest.approx(20, abs=1e-6)
        assert row["server_ttft_ms"] == pytest.approx(11, abs=1e-6)
        assert row["ttft_ms"] > 11
    assert index_of(tmp_path / "out")["points"][0]["files"]["server_times"] == "a/concurrency_2.server_times.json"
    readings = [json.loads(line) for line in (folder / "concurrency_2.metrics.jsonl").read_text().splitlines()]
    assert [reading["monotonic_ns"] for reading in readings] == sorted(r["monotonic_ns"] for r in readings)
    if ids_match:  # Prometheus text is preferred where there is any
        assert readings[0]["values"] == {'trtllm_kv_cache_utilization{engine="0"}': 0.25}
    else:
        assert readings[0]["page"] == [{"iter": 1, "numActiveRequests": 2}]


def test_pages_that_are_no_metrics() -> None:
    assert read_page("<html>not found</html>") is None
    assert read_page("") is None
    assert read_page("[1, 2") is None
    text = 'a 1\nb{x="}y"} 2.5 1700000000\nc NaN\nd +Inf\n# HELP e\n'
    assert read_page(text) == {"values": {"a": 1.0, 'b{x="}y"}': 2.5}}
