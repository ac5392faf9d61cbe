"""Records of several clients as one's, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.merge import Part, merge_client, merge_records
from tokenclock.records import STATUS_NAMES, Records


def rows(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def asked(n: int) -> dict[str, Any]:
    return {"isl_requested": np.arange(n) + 100, "osl_requested": np.full(n, 2)}


@pytest.fixture
def first(make_records: Any) -> Records:
    return make_records(
        [
            {"sent": 10, "tokens": [20, 30], "worker": 0, "connection_id": 0},
            {"sent": 40, "tokens": [60], "worker": 1, "connection_id": 3, "status": "timeout", "error": "late"},
        ],
        client={"n_events": 3, "wall_ns": 70, "workers": [{"a": 1}], "interrupted": False, "stamp_source": "kernel"},
    )


@pytest.fixture
def second(make_records: Any) -> Records:
    return make_records(
        [{"sent": 12, "tokens": [25, 26, 29], "n_tokens": [1, 2, 1], "worker": 0, "connection_id": 0}],
        client={"n_events": 3, "wall_ns": 40, "workers": [{"a": 2}], "interrupted": True, "stamp_source": "user"},
    )


def test_rows_come_back_to_their_places(first: Records, second: Records) -> None:
    merged = merge_records([Part(rows(0, 2), first), Part(rows(1), second)], asked(3))
    assert merged.columns["request_id"].tolist() == [0, 1, 2]
    assert merged.columns["t_sent_ns"].tolist() == [10, 12, 40]
    assert merged.columns["status"].tolist() == [0, 0, STATUS_NAMES.index("timeout")]
    assert merged.columns["isl_requested"].tolist() == [100, 101, 102]
    assert merged.token_offsets.tolist() == [0, 2, 5, 6]
    assert merged.t_token_ns.tolist() == [20, 30, 25, 26, 29, 60]
    assert merged.n_tokens.tolist() == [1, 1, 1, 2, 1, 1]
    assert merged.errors == {2: "late"}
    assert merged.epoch_ns == first.epoch_ns


def test_workers_and_connections_are_told_apart(first: Records, second: Records) -> None:
    merged = merge_records([Part(rows(0, 2), first), Part(rows(1), second)], asked(3))
    assert merged.columns["worker"].tolist() == [0, 2, 1]  # the first client had two workers
    assert merged.columns["connection_id"].tolist() == [0, 4, 3]


def test_a_row_that_nobody_has_was_not_sent(first: Records) -> None:
    merged = merge_records([Part(rows(0, 3), first)], asked(5))
    not_sent = STATUS_NAMES.index("not_sent")
    assert merged.columns["status"].tolist() == [0, not_sent, not_sent, STATUS_NAMES.index("timeout"), not_sent]
    assert merged.present("t_sent_ns").tolist() == [True, False, False, True, False]
    assert merged.columns["osl_requested"].tolist() == [2] * 5
    assert merged.token_offsets.tolist() == [0, 2, 2, 2, 3, 3]


def test_texts_of_a_part_that_kept_none_are_empty(first: Records, second: Records) -> None:
    import dataclasses

    kept = dataclasses.replace(second, texts=["hello"])
    merged = merge_records([Part(rows(0, 2), first), Part(rows(1), kept)], asked(3))
    assert merged.texts == ["", "hello", ""]
    assert merged.response_ids is None


def test_counters_add_up(first: Records, second: Records) -> None:
    merged = merge_records([Part(rows(0, 2), first), Part(rows(1), second)], asked(3)).client
    assert merged == {
        "n_events": 6,
        "wall_ns": 70,
        "workers": [{"a": 1}, {"a": 2}],
        "interrupted": True,
        "stamp_source": "kernel and user",
    }
    assert merge_client([{}, {"n_events": 2}]) == {"n_events": 2}


@pytest.mark.parametrize("numbers", [(0, 0), (0, 5), (-1, 0)])
def test_rows_must_be_of_the_run_and_of_one_part(numbers: tuple[int, int], first: Records) -> None:
    with pytest.raises(ValueError, match="rows of their own among 5"):
        merge_records([Part(rows(*numbers), first)], asked(5))


def test_a_part_has_a_row_number_for_each_request(first: Records) -> None:
    with pytest.raises(ValueError, match="a row number for each of 2, got 1"):
        Part(rows(0), first)
    with pytest.raises(ValueError, match="among 5, got"):
        merge_records([], asked(5))


@given(st.lists(st.lists(st.integers(0, 10**9), max_size=4), min_size=1, max_size=12), st.integers(1, 4))
def test_split_and_merged_is_what_it_was(requests: list[list[int]], size: int) -> None:
    from tests.conftest import hand_records

    whole = hand_records([{"sent": i, "tokens": sorted(tokens)} for i, tokens in enumerate(requests)])
    parts = [np.arange(rank, len(requests), size) for rank in range(size)]
    merged = merge_records(
        [Part(part, whole.take(part)) for part in parts],
        {name: whole.columns[name] for name in ("isl_requested", "osl_requested")},
    )
    for name, column in whole.columns.items():
        np.testing.assert_array_equal(merged.columns[name], column)
    for name in ("token_offsets", "t_token_ns", "n_tokens", "t_read_ns"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
