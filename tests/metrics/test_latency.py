from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.metrics import latency


def test_sent_100_first_token_110_so_ttft_10(make_records: Any) -> None:
    records = make_records([{"sent": 100, "tokens": [110, 114, 120]}])
    assert latency.ttft_ns(records).tolist() == [10]
    assert latency.e2el_ns(records).tolist() == [20]
    assert latency.tpot_ns(records).tolist() == [5]  # (20 - 10) / (3 - 1)
    gaps, tokens = latency.itl_ns(records)
    assert gaps.tolist() == [4, 6]
    assert tokens.tolist() == [1, 1]


def test_scheduled_90_sent_100_first_token_110_so_response_ttft_20(make_records: Any) -> None:
    records = make_records([{"t_scheduled_ns": 90, "sent": 100, "tokens": [110, 130]}])
    assert latency.response_ttft_ns(records).tolist() == [20]
    assert latency.response_e2el_ns(records).tolist() == [40]


def test_connect_40_sent_100_so_set_up_60(make_records: Any) -> None:
    records = make_records([{"t_connect_ns": 40, "sent": 100, "tokens": [110]}, {"sent": 120, "tokens": [130]}])
    assert latency.connect_ns(records)[0] == 60
    assert np.isnan(latency.connect_ns(records)[1])  # a reused connection


@pytest.mark.parametrize(
    ("tokens", "ttft", "tpot", "n_gaps"), [([], None, None, 0), ([110], 10, None, 0), ([110, 117], 10, 7, 1)]
)
def test_answers_of_no_one_and_two_tokens(
    make_records: Any, tokens: list[int], ttft: int | None, tpot: int | None, n_gaps: int
) -> None:
    records = make_records([{"sent": 100, "tokens": tokens}])
    for value, expected in ((latency.ttft_ns(records)[0], ttft), (latency.tpot_ns(records)[0], tpot)):
        assert np.isnan(value) if expected is None else value == expected
    assert len(latency.itl_ns(records)[0]) == n_gaps


def test_no_gap_spans_two_requests_and_failures_have_no_latency(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [10, 30]},
            {"sent": 0, "tokens": []},
            {"sent": 0, "tokens": [500, 600], "status": "truncated"},
            {"sent": 0, "tokens": [40, 41, 43]},
        ]
    )
    assert latency.itl_ns(records)[0].tolist() == [20, 1, 2]
    assert np.isnan(latency.ttft_ns(records)).tolist() == [False, True, True, False]
    assert np.isnan(latency.e2el_ns(records)[2])


def test_without_streaming_there_is_only_the_end(make_records: Any) -> None:
    records = make_records([{"sent": 100, "last": 900, "osl": 8}])
    assert latency.e2el_ns(records).tolist() == [800]
    assert np.isnan(latency.ttft_ns(records)).all()
    assert np.isnan(latency.tpot_ns(records)).all()


def test_first_event_of_3_tokens_leaves_5_of_8_for_the_later_time(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [10, 20, 60], "n_tokens": [3, 1, 4]},  # (60 - 10) / (8 - 3)
            {"sent": 0, "tokens": [10], "n_tokens": [3]},  # OSL = k
        ]
    )
    values = latency.tpot_after_first_event_ns(records)
    assert values[0] == 10
    assert np.isnan(values[1])
    assert latency.tpot_ns(records)[0] == pytest.approx(50 / 7)


def test_tokens_per_event_are_known_only_when_they_add_up(make_records: Any) -> None:
    good = {"sent": 0, "tokens": [1, 2], "n_tokens": [1, 3], "osl": 4}
    assert latency.itl_per_token_is_known(make_records([good]))
    assert not latency.itl_per_token_is_known(make_records([good, {"sent": 0, "tokens": [1, 2], "osl": 3}]))
    assert latency.itl_per_token_is_known(make_records([good, {"sent": 0, "osl": 3, "status": "timeout"}]))
    assert latency.tokens_of_events(make_records([good])).tolist() == [4]


ANSWERS = st.lists(
    st.tuples(
        st.integers(0, 10**12),
        st.lists(st.integers(0, 10**10), max_size=6),
        st.sampled_from(["ok", "ok", "ok", "timeout"]),
    ),
    max_size=6,
)


def _requests(drawn: list[tuple[int, list[int], str]], shift: int = 0) -> list[dict[str, Any]]:
    return [
        {"status": status, "sent": sent + shift, "tokens": [int(t) + sent + shift for t in np.cumsum(gaps)]}
        for sent, gaps, status in drawn
    ]


@given(ANSWERS)
def test_ttft_is_at_most_e2el_and_gaps_add_up(make_records: Any, drawn: list[tuple[int, list[int], str]]) -> None:
    records = make_records(_requests(drawn))
    ttft, e2el = latency.ttft_ns(records), latency.e2el_ns(records)
    known = ~np.isnan(ttft)
    assert (ttft[known] <= e2el[known]).all()
    assert latency.itl_ns(records)[0].sum() == (e2el[known] - ttft[known]).sum()


@given(ANSWERS, st.integers(-(10**15), 10**15))
def test_shifting_all_stamps_changes_nothing(
    make_records: Any, drawn: list[tuple[int, list[int], str]], shift: int
) -> None:
    here, there = make_records(_requests(drawn)), make_records(_requests(drawn, shift))
    for metric in (latency.ttft_ns, latency.e2el_ns, latency.tpot_ns):
        np.testing.assert_array_equal(metric(here), metric(there))
    np.testing.assert_array_equal(latency.itl_ns(here)[0], latency.itl_ns(there)[0])
