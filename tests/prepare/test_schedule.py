"""Times and sessions of rows follow the distributions asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tokenclock.prepare.plan import PreparePlan, SessionPlan, UnifLengths
from tokenclock.prepare.schedule import draw_times

N = 20_000


def plan(**settings: object) -> PreparePlan:
    return PreparePlan(source=UnifLengths(1, 1, 1, 1), num_requests=N, vocab_size=100, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("burstiness", [0.5, 1.0, 4.0])
def test_gaps_have_the_mean_and_spread_of_their_gamma(burstiness: float) -> None:
    times = draw_times(plan(request_rate=20.0, burstiness=burstiness), N)
    assert times.due_ns is not None
    gaps = np.diff(times.due_ns) / 1e9
    sigma = 1 / 20 / np.sqrt(burstiness)
    assert gaps.mean() == pytest.approx(1 / 20, abs=4 * sigma / np.sqrt(N))
    assert gaps.std() == pytest.approx(sigma, rel=0.1)


def test_sessions_have_the_turns_and_pauses_asked_for() -> None:
    asked = SessionPlan(turns_mean=5, turns_stdev=1, delay_mean_ms=800, delay_stdev_ms=100)
    times = draw_times(plan(sessions=asked, request_rate=3.0), N)
    assert times.session is not None
    assert times.delay_ms is not None
    turns = np.bincount(times.session)[:-1]  # the last one is cut where rows end
    assert turns.mean() == pytest.approx(5, abs=4 / np.sqrt(len(turns)))
    assert turns.std() == pytest.approx(np.sqrt(1 + 1 / 12), rel=0.1)  # rounding adds 1/12
    later = ~times.first_turns()
    assert times.delay_ms[later].mean() == pytest.approx(800, abs=4 * 100 / np.sqrt(later.sum()))
    for row in range(40):
        members = json.loads("{" + times.json(row).removeprefix(",") + "}")
        assert members["session_id"] == f"s{times.session[row]}"
        assert ("timestamp" in members) == times.starts(row)
        assert ("delay" in members) == (not times.starts(row))


def test_rows_alone_have_no_members() -> None:
    assert draw_times(plan(), 3).json(1) == ""
