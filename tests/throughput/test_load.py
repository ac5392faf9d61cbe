"""The load of a runtime in this process, on a target of known times that fails, stops and lags as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from tokenclock.metrics import latency
from tokenclock.records import STATUS_NAMES
from tokenclock.runtime.in_flight import InFlight, InFlightRequest, OnEnd, OnTokens, Outcome
from tokenclock.runtime.protocol import Limits, ModelFacts
from tokenclock.throughput.load import run_in_flight

STEP_S = 0.002


class Played:
    """Answers each request on a thread of its own: a step per token."""

    name = "played"
    model = ModelFacts("played", "dec")
    limits = Limits()
    notes: Sequence[str] = ()
    takes_lora = False

    def __init__(self, outcome: Callable[[InFlightRequest], Outcome] | None = None, per_step: int = 1) -> None:
        self._outcome = outcome or (lambda request: Outcome(list(range(request.osl))))
        self._per_step = per_step
        self._cancelled = False
        self._lock = threading.Lock()
        self.under_way, self.most = 0, 0

    def submit(self, request: InFlightRequest, on_tokens: OnTokens | None, on_end: OnEnd) -> None:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        threading.Thread(target=self._answer, args=(request, on_tokens, on_end), daemon=True).start()

    def _answer(self, request: InFlightRequest, on_tokens: OnTokens | None, on_end: OnEnd) -> None:
        outcome = self._outcome(request)
        n_left = len(outcome.output_ids or ())
        while n_left and not self._cancelled:
            time.sleep(STEP_S)
            n = min(self._per_step, n_left)
            if on_tokens is not None:
                on_tokens(n)
            n_left -= n
        with self._lock:
            self.under_way -= 1
        on_end(Outcome(cancelled=True) if n_left else outcome)

    def cancel(self) -> None:
        self._cancelled = True

    def close(self) -> None:
        return None


def requests(n: int, osl: int = 5) -> list[InFlightRequest]:
    return [InFlightRequest([1, 2, 3], osl) for _ in range(n)]


def test_a_played_target_is_one() -> None:
    assert isinstance(Played(), InFlight)


@pytest.mark.parametrize("concurrency", [1, 3, None])
def test_never_more_are_under_way_than_asked(concurrency: int | None) -> None:
    target = Played()
    records, outcomes = run_in_flight(target, requests(12), concurrency=concurrency, streaming=True)
    assert target.most <= (concurrency or 12)
    assert records.client["max_in_flight"] == (concurrency or 12)
    assert bool(records.ok.all())
    assert records.columns["osl"].tolist() == [5] * 12
    assert records.n_events == 60
    assert all(outcome is not None and len(outcome.output_ids or ()) == 5 for outcome in outcomes)
    # sleeps are never shorter than asked
    assert latency.ttft_ns(records).min() >= STEP_S * 1e9
    assert latency.e2el_ns(records).min() >= 5 * STEP_S * 1e9
    assert (records.columns["t_done_ns"] >= records.columns["t_last_token_ns"]).all()
    if concurrency == 1:
        assert (records.columns["t_sent_ns"][1:] >= records.columns["t_done_ns"][:-1]).all()


def test_several_tokens_at_once_are_one_event() -> None:
    records, _ = run_in_flight(Played(per_step=2), requests(2), concurrency=1, streaming=True)
    assert records.n_tokens.tolist() == [2, 2, 1] * 2


def test_without_streaming_the_end_is_the_only_stamp() -> None:
    records, _ = run_in_flight(Played(), requests(3), concurrency=1, streaming=False)
    assert records.n_events == 0
    assert not records.present("t_first_token_ns").any()
    assert (records.columns["t_last_token_ns"] == records.columns["t_done_ns"]).all()


def test_a_failure_is_a_row_and_ends_nothing() -> None:
    def outcome(request: InFlightRequest) -> Outcome:
        return Outcome(error="too long") if request.osl == 7 else Outcome(list(range(request.osl)))

    rows = [*requests(2), InFlightRequest([1], 7), *requests(2)]
    records, _ = run_in_flight(Played(outcome), rows, concurrency=2, streaming=True)
    assert records.columns["status"].tolist() == [0, 0, STATUS_NAMES.index("stream_error"), 0, 0]
    assert records.errors == {2: "too long"}
    assert records.client["interrupted"] is False


def test_a_stop_cancels_what_is_under_way_and_sends_no_more() -> None:
    begun = time.monotonic()
    records, _ = run_in_flight(
        Played(),
        requests(50, 40),
        concurrency=2,
        streaming=True,
        stop_requested=lambda: time.monotonic() - begun > 0.3,
    )
    names = [STATUS_NAMES[code] for code in records.columns["status"]]
    assert records.client["interrupted"] is True
    assert names[0] == "ok"
    assert names.count("cancelled") <= 2
    assert names[-1] == "not_sent"
    assert not records.present("t_sent_ns")[-1]


def test_a_stop_that_comes_when_all_has_ended_changes_nothing() -> None:
    seen: list[int] = []
    records, _ = run_in_flight(
        Played(),
        requests(1, 1),
        concurrency=1,
        streaming=True,
        stop_requested=lambda: bool(seen),
        on_progress=lambda progress: seen.append(progress["n_done"]) if progress["n_done"] else None,
    )
    assert records.client["interrupted"] is False
    assert seen == [1]


def test_tokens_beyond_the_room_are_counted_as_lost() -> None:
    records, _ = run_in_flight(
        Played(lambda _: Outcome(list(range(30)))), [InFlightRequest([1], 2)], concurrency=1, streaming=True
    )
    assert records.client["n_events_lost"] > 0
    assert records.columns["osl"].tolist() == [30]
