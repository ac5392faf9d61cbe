from __future__ import annotations

from typing import Any

import pytest

from tokenclock.metrics import silence
from tokenclock.metrics.silence import Silence, longest_silence

MS = 1_000_000


def stream(start_ms: float, *gaps_ms: float) -> dict[str, Any]:
    t, tokens = start_ms, []
    for gap in gaps_ms:
        t += gap
        tokens.append(round(t * MS))
    return {"sent": round(start_ms * MS), "tokens": tokens}


def test_a_stall_of_all_streams_is_found(make_records: Any) -> None:
    requests = [stream(0, *[20] * 10, 700, *[20] * 5), stream(35, *[20] * 9, 666, *[20] * 5)]
    assert longest_silence(make_records(requests)) == Silence(215 * MS, 666 * MS)


def test_one_stream_that_waits_is_no_silence_while_another_speaks(make_records: Any) -> None:
    found = longest_silence(make_records([stream(0, 20, 700), stream(0, *[20] * 36)]))
    assert found is not None
    assert found.length_ns <= 40 * MS


def test_the_wait_for_the_first_token_is_silence(make_records: Any) -> None:
    found = longest_silence(make_records([stream(100, 400, 20)]))
    assert found == Silence(100 * MS, 400 * MS)


def test_nobody_waits_between_requests(make_records: Any) -> None:
    found = longest_silence(make_records([stream(0, 20, 20), stream(5000, 50, 20)]))
    assert found is not None
    assert found.length_ns == pytest.approx(50 * MS, abs=10 * MS)


def test_nothing_sent_nothing_heard(make_records: Any) -> None:
    assert longest_silence(make_records([{"status": "not_sent"}])) is None
    only_sent = longest_silence(make_records([{"sent": 7, "status": "cancelled"}]))
    assert only_sent is not None
    assert only_sent.length_ns == 0


@pytest.mark.parametrize("sorted_up_to", [0, 1_000_000])
def test_a_stall_is_the_same_by_cells_and_by_sorting(
    sorted_up_to: int, make_records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_SORTED_UP_TO", sorted_up_to)
    requests = [stream(0, *[20] * 10, 700, *[20] * 5), stream(35, *[20] * 9, 666, *[20] * 5)]
    assert longest_silence(make_records(requests)) == Silence(215 * MS, 666 * MS)


def test_a_run_shorter_than_a_cell_is_exact(make_records: Any) -> None:
    assert longest_silence(make_records([stream(0, 1, 0.5, 2.5, 0.5)])) == Silence(1_500_000, 2_500_000)
