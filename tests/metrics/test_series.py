from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulate.processes import stalling_server

from tokenclock.metrics import latency
from tokenclock.metrics.series import MAX_MARKS, SAMPLED_REQUESTS, ecdf, itl_heat_map, percentile_curve, run_series
from tokenclock.metrics.summary import rank_percentile

S = 1_000_000_000


def test_an_ecdf_by_hand() -> None:
    found = ecdf(np.array([10, 20, 20, 40]))
    assert found.x.tolist() == [10, 20, 20, 40]
    assert found.y.tolist() == [0.25, 0.5, 0.75, 1.0]


@given(st.integers(1, 50_000))
def test_an_ecdf_is_thin_and_true(n: int) -> None:
    found = ecdf(np.arange(1, n + 1))
    assert len(found.x) <= 400
    assert found.x / n == pytest.approx(found.y)
    assert found.y[-1] == 1.0
    assert bool(np.all(np.diff(found.y) > 0))


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=300))
def test_a_percentile_curve_follows_the_rule_rank(values: list[int]) -> None:
    ordered = np.sort(np.array(values))
    found = percentile_curve(ordered)
    assert found.x[0] == 1
    assert found.x[-1] == pytest.approx(max(len(values), 2))
    assert bool(np.all(np.diff(found.y) >= 0))
    median = found.y[np.searchsorted(found.x, 2.0)]
    assert median >= (rank_percentile(ordered, 50.0) or 0)


def test_a_run_by_hand(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [S, 2 * S], "t_done_ns": 2 * S, "isl_server": 7},
            {"sent": S, "tokens": [3 * S, 4 * S], "t_done_ns": 4 * S, "isl_requested": 9},
            {"status": "http_error", "sent": 2 * S, "t_done_ns": 3 * S, "osl": 0},
            {"status": "not_sent"},
        ]
    )
    found = run_series(records)
    assert found.spans.sent.tolist() == [0, 1, 2]
    assert found.spans.first[:2].tolist() == [1, 3]
    assert np.isnan(found.spans.first[2])
    assert found.spans.last.tolist() == [2, 4, 3]
    assert found.spans.ok.tolist() == [True, True, False]
    assert (found.n_marked, found.marks.x.tolist(), found.marks.y.tolist()) == (3, [1, 2, 3, 4], [0, 0, 1, 1])
    assert found.bin_s == pytest.approx(4 / 200)
    # what is drawn over time adds up to what there was
    assert found.tokens.y.sum() * found.bin_s == pytest.approx(4)
    assert found.completions.y.sum() * found.bin_s * 4 == pytest.approx(2)
    assert found.in_flight.y.sum() * found.bin_s == pytest.approx(2 + 3 + 1)  # seconds of all requests
    assert found.ttft_by_isl.x.tolist() == [7, 9]
    assert found.ttft_by_isl.y.tolist() == [S, 2 * S]
    assert found.itl is not None
    assert found.itl.counts.sum() == 2


def test_a_run_without_answers_has_empty_series(make_records: Any) -> None:
    found = run_series(make_records([{"status": "connect_error"}]))
    assert (found.ecdf, found.itl, found.n_marked, len(found.tokens.x), len(found.spans.rows)) == ({}, None, 0, 0, 0)


def test_a_large_run_is_thinned() -> None:
    records = stalling_server(np.random.default_rng(0), 4000, 16, osl=400)
    found = run_series(records)
    assert len(found.spans.rows) == 4000
    assert found.n_marked <= SAMPLED_REQUESTS
    assert len(found.marks.x) <= MAX_MARKS * 1.2
    assert all(len(curve.x) <= 400 for curve in (*found.ecdf.values(), *found.percentiles.values()))


def test_the_heat_map_holds_every_gap_once() -> None:
    records = stalling_server(np.random.default_rng(0), 400, 8)
    found = itl_heat_map(records)
    assert found is not None
    assert found.counts.shape == (len(found.y), len(found.x))
    gaps = latency.itl_ns(records)[0]
    assert found.counts.sum() == (gaps > 0).sum()
    top = np.flatnonzero(found.counts.sum(axis=1))[-1]
    assert found.y[top] == pytest.approx(gaps.max(), rel=0.2)
