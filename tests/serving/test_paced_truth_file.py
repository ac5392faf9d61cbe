"""The truth of a paced server in its file, and files of a version that wrote less."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import numpy as np

from tokenclock import PacedServer
from tokenclock.records import MISSING_NS
from tokenclock.serving.paced_truth import Truth


def test_the_truth_can_be_kept_in_a_file(tmp_path: Path) -> None:
    with PacedServer(ttft_ms=10, itl_ms=5, truth_path=tmp_path / "truth.npz") as server:
        body = json.dumps({"model": "m", "prompt": [5, 6, 7], "max_tokens": 2, "stream": True}).encode()
        urllib.request.urlopen(f"{server.url}/v1/completions", body, timeout=30).read()
    kept = Truth.from_npz(tmp_path / "truth.npz")
    assert kept.t_send_ns.tolist() == server.truth().t_send_ns.tolist()
    assert kept.meta == server.truth().meta
    assert [path.name for path in tmp_path.iterdir()] == ["truth.npz"]
    with np.load(tmp_path / "truth.npz") as file:
        before = {name: file[name] for name in file if name != "t_first_on_wire_ns"}
    np.savez(tmp_path / "of_an_earlier_version.npz", **before)
    older = Truth.from_npz(tmp_path / "of_an_earlier_version.npz")
    assert older.t_first_on_wire_ns.tolist() == [MISSING_NS]
    assert older.ttft_ns.tolist() == (older.t_first_content_ns - older.t_arrival_ns).tolist()
