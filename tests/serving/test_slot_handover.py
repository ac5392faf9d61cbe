"""Warm-ups that share a load with the measured requests, and slots that open one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tokenclock import PacedServer
from tokenclock.errors import UsageError
from tokenclock.plan import EndpointPlan, LoadPlan, RampUp, ServingPlan
from tokenclock.serving.client import FinalEvents, LoadRequests, Observer, run_load
from tokenclock.serving.slot_handover import with_warm_ups

N, N_WARM, OSL = 24, 10, 6


def requests_of(n: int, **change: Any) -> LoadRequests:
    return LoadRequests(
        prompts=[[5, row] for row in range(n)],
        isl_requested=np.full(n, 2, np.int32),
        osl_requested=np.full(n, OSL, np.int32),
        t_due_ns=np.zeros(n, np.int64),
        **change,
    )


class Keeper(Observer):
    """Keeps what became final, as an event log would."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.event_rows: list[int] = []
        self.columns: Mapping[str, Any] = {}

    def on_final(self, client: FinalEvents, *, ended: bool) -> None:
        final = client.take_final()
        self.rows += final["rows"].tolist()
        self.event_rows += final["event_row"].tolist()
        self.columns = client.columns()


def test_warm_ups_are_sent_first_and_are_in_no_record() -> None:
    keeper = Keeper()
    warm_ups = [([9], 3)] * N_WARM
    with PacedServer(ttft_ms=10, itl_ms=2) as server:
        plan = ServingPlan(EndpointPlan(model="m", base_url=server.url), LoadPlan(max_concurrency=4))
        records = run_load(plan, requests_of(N), observer=keeper, warm_ups=warm_ups)
        truth = server.stop()
    assert truth.n_requests == N + N_WARM
    assert truth.max_tokens.tolist() == [3] * N_WARM + [OSL] * N
    assert records.ok.all()
    assert records.n_requests == N
    assert records.columns["request_id"].tolist() == list(range(N))
    assert records.columns["osl"].tolist() == [OSL] * N
    assert records.n_events == N * OSL
    # no pause between the phases: measured requests start while warm-ups are still under way
    assert records.columns["t_sent_ns"].min() + records.epoch_ns < truth.t_done_ns[:N_WARM].max() + 5_000_000
    assert sorted(keeper.rows) == list(range(N))
    assert sorted(set(keeper.event_rows)) == list(range(N))
    assert len(keeper.event_rows) == N * OSL
    assert len(keeper.columns["t_sent_ns"]) == N


def test_rows_before_the_measured_ones() -> None:
    widened = with_warm_ups(requests_of(2, lora=np.array([1, 0], np.int16)), [("a", 3), ([4], 5)])
    assert list(widened.prompts) == ["a", [4], [5, 0], [5, 1]]
    assert widened.osl_requested.tolist() == [3, 5, OSL, OSL]
    assert widened.isl_requested.tolist() == [-1, -1, 2, 2]
    assert widened.lora is not None
    assert widened.lora.tolist() == [-1, -1, 1, 0]
    assert widened.n_warm_ups == 2
    assert with_warm_ups(requests_of(2), ()).n_warm_ups == 0


def test_slots_open_one_by_one() -> None:
    with PacedServer(ttft_ms=300, itl_ms=1) as server:
        plan = ServingPlan(EndpointPlan(model="m", base_url=server.url), LoadPlan(max_concurrency=8, ramp_up_s=0.8))
        records = run_load(plan, requests_of(40))
    assert records.ok.all()
    connects = np.sort(records.columns["t_connect_ns"][records.present("t_connect_ns")])
    assert len(connects) == 8
    assert (connects >= np.arange(8) * 100_000_000).all()
    assert connects[-1] < 1_200_000_000


@pytest.mark.parametrize(
    "load",
    [
        {"ramp_up_s": 1.0},
        {"ramp_up_s": 1.0, "max_concurrency": 4, "request_rate": 5.0},
        {"ramp_up_s": 1.0, "max_concurrency": 4, "ramp_up": RampUp("linear", 1, 2)},
        {"ramp_up_s": -1.0, "max_concurrency": 4},
        {"ramp_up_s": float("nan"), "max_concurrency": 4},
    ],
)
def test_a_ramp_of_slots_needs_a_closed_loop(load: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--ramp-up-seconds must be"):
        LoadPlan(**load)
