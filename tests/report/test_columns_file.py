from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokenclock.errors import UsageError
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import summarise
from tokenclock.report import columns_file

REQUESTS = [{"sent": 1, "tokens": [4, 9, 16], "error": "x"}, {"sent": 2, "tokens": [5], "status": "stalled"}]


def test_every_number_can_be_computed_again(tmp_path: Path, make_records: Any) -> None:
    records = make_records(REQUESTS, client={"wall_ns": 20})
    path = tmp_path / "r.columns.npz"
    assert columns_file.write(records, path)
    back = columns_file.read(path)
    assert back.t_token_ns.tolist() == [4, 9, 16, 5]
    facts = RunFacts(slos_ms={"ttft": 1})
    assert summarise(back, facts) == summarise(records, facts)
    with np.load(path) as arrays:  # plain arrays, for people who have only NumPy
        assert arrays["t_sent_ns"].tolist() == [1, 2]


def test_too_many_events_leave_the_request_columns(tmp_path: Path, make_records: Any) -> None:
    path = tmp_path / "r.columns.npz"
    assert not columns_file.write(make_records(REQUESTS), path, max_events=3)
    back = columns_file.read(path)
    assert (back.n_events, back.n_requests) == (0, 2)


def test_its_place_is_beside_the_result() -> None:
    assert columns_file.columns_path("a/run.json") == Path("a/run.columns.npz")
    assert columns_file.columns_path("a/m-0.6B-1.5qps") == Path("a/m-0.6B-1.5qps.columns.npz")


def test_what_is_no_columns_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK")
    np.savez(tmp_path / "y.npz", a=np.zeros(1))
    for name in ("x.npz", "y.npz", "none.npz"):
        with pytest.raises(UsageError, match="is no columns file"):
            columns_file.read(tmp_path / name)
