"""Requests in flight on CTranslate2 with a tiny model: side by side, exact, cancelled, failed, sampled."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed (pip install 'tokenclock[offline]')")

from tokenclock.errors import UsageError
from tokenclock.parallel import OneProcess
from tokenclock.runtime.find import find_in_flight
from tokenclock.runtime.in_flight import InFlight, InFlightOptions, InFlightRequest, Outcome, Sampling
from tokenclock.runtime.options import RuntimeOptions

Load = Callable[..., InFlight]


@pytest.fixture
def load() -> Iterator[Load]:
    loaded: list[InFlight] = []

    def make(sampling: Sampling | None = None, *, threads: int | None = 1, **asked: Any) -> InFlight:
        target = find_in_flight(
            "tiny:llama",
            runtime=None,
            options=RuntimeOptions(threads=threads),
            sampling=sampling or Sampling(),
            asked=InFlightOptions(**asked),
            world=OneProcess(),
        )
        loaded.append(target)
        return target

    yield make
    for target in loaded:
        target.close()
        target.close()  # does no harm


def answers(target: InFlight, requests: list[InFlightRequest]) -> list[Outcome]:
    found: list[Outcome | None] = [None] * len(requests)
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    for row, request in enumerate(requests):

        def on_end(outcome: Outcome, row: int = row) -> None:
            found[row] = outcome
            ended.put(row)

        target.submit(request, None, on_end)
    for _ in requests:
        ended.get(timeout=60)
    return [outcome for outcome in found if outcome is not None]


def request(osl: int = 8, start: int = 10) -> InFlightRequest:
    return InFlightRequest(list(range(start, start + 12)), osl)


def test_lengths_are_exact_and_answers_repeat(load: Load) -> None:
    target = load()
    found = answers(target, [request(osl) for osl in (1, 2, 9, 40)])
    assert [len(outcome.output_ids or ()) for outcome in found] == [1, 2, 9, 40]
    assert all(not outcome.stopped and outcome.error is None for outcome in found)
    ids = [list(outcome.output_ids or ()) for outcome in found]
    assert ids[3][:9] == ids[2], "greedy: the shorter answer begins the longer one"


def test_an_answer_does_not_depend_on_its_neighbours(load: Load) -> None:
    alone = [answers(load(concurrency=1), [request(20, start)])[0].output_ids for start in (10, 50, 90)]
    together = answers(load(), [request(20, start) for start in (10, 50, 90)])
    assert [outcome.output_ids for outcome in together] == alone


def test_each_token_is_told_once(load: Load) -> None:
    told: list[int] = []
    over = threading.Event()
    load().submit(request(15), told.append, lambda _: over.set())
    assert over.wait(60)
    assert told == [1] * 15


def test_a_bad_request_fails_alone(load: Load) -> None:
    found = answers(load(), [request(), InFlightRequest([10, 5000], 3), request()])
    assert [outcome.error is None for outcome in found] == [True, False, True]


def test_cancelling_ends_what_is_under_way(load: Load) -> None:
    target = load(concurrency=1)
    ended: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    begun = threading.Event()
    target.submit(request(100_000), lambda _: begun.set(), ended.put)
    target.submit(request(100_000), None, ended.put)
    assert begun.wait(60)
    target.cancel()
    assert all(ended.get(timeout=60).cancelled for _ in range(2))


def test_an_end_token_is_part_of_the_answer(load: Load) -> None:
    ids = list(answers(load(), [request(10)])[0].output_ids or ())
    outcome = answers(load(Sampling(eos_id=ids[3])), [request(10)])[0]
    assert outcome.output_ids == ids[: ids.index(ids[3]) + 1]
    assert outcome.stopped


def test_beams_run_and_are_not_streamed(load: Load) -> None:
    outcome = answers(load(Sampling(beam_width=2)), [request(6)])[0]
    assert len(outcome.output_ids or ()) == 6


def test_how_many_run_side_by_side_is_said(load: Load) -> None:
    target = load(concurrency=64, max_batch_size=1)
    assert target.model.details["inter_threads"] == 1
    assert any("runs 1 request side by side" in note for note in target.notes)
    assert not any("side by side" in note for note in load(concurrency=1).notes)


def test_options_it_does_not_know_are_refused(load: Load) -> None:
    with pytest.raises(UsageError, match=r"--sampler_options: --runtime ctranslate2 knows .*, not seed"):
        load(Sampling(options=(("seed", 3),)))
