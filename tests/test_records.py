from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tokenclock.records import MISSING_NS, REQUEST_COLUMNS, STATUS_NAMES, Records, empty_columns, from_arrays, to_arrays


def test_an_empty_column_is_absent_not_zero() -> None:
    columns = empty_columns(2)
    assert list(columns) == list(REQUEST_COLUMNS)
    assert columns["t_sent_ns"].tolist() == [MISSING_NS, MISSING_NS]
    assert columns["osl"].tolist() == [-1, -1]
    assert np.isnan(columns["tokens_per_iteration"]).all()
    assert columns["request_id"].tolist() == [0, 1]
    assert {STATUS_NAMES[code] for code in columns["status"]} == {"not_sent"}


def test_counts_and_masks(make_records: Any) -> None:
    records = make_records([{"sent": 5, "tokens": [10, 20]}, {"status": "timeout", "sent": 6}, {"status": "not_sent"}])
    assert records.n_requests == 3
    assert records.n_events == 2
    assert records.ok.tolist() == [True, False, False]
    assert records.present("t_sent_ns").tolist() == [True, True, False]
    assert records.row_of_event().tolist() == [0, 0]


def test_take_keeps_rows_with_their_events_and_errors(make_records: Any) -> None:
    records = make_records(
        [{"tokens": [1, 2]}, {"status": "timeout", "error": "late"}, {"tokens": [7, 8, 9], "n_tokens": [1, 2, 3]}]
    )
    taken = records.take([2, 1])
    assert taken.t_token_ns.tolist() == [7, 8, 9]
    assert taken.n_tokens.tolist() == [1, 2, 3]
    assert taken.token_offsets.tolist() == [0, 3, 3]
    assert taken.columns["request_id"].tolist() == [2, 1]
    assert taken.errors == {1: "late"}


def test_secrets_leave_error_texts(make_records: Any) -> None:
    records = make_records([{"status": "http_error", "error": "bad key sk-12 and sk-1"}])
    assert records.scrubbed(["sk-1", "sk-12", ""]).errors == {0: "bad key *** and ***"}
    assert records.errors == {0: "bad key sk-12 and sk-1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t_token_ns": np.zeros(2, np.float64)}, "t_token_ns must be int64"),
        ({"token_offsets": np.array([0, 3], np.int64)}, "token_offsets must rise from 0 to 2"),
        ({"token_offsets": np.array([0], np.int64)}, r"token_offsets must be int64 of shape \(2,\)"),
        ({"columns": {"status": np.zeros(1, np.uint8)}}, "missing .*'osl'"),
    ],
)
def test_columns_that_do_not_fit_are_refused(make_records: Any, change: dict[str, Any], message: str) -> None:
    records = make_records([{"tokens": [1, 2]}])
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(records, **change)


def same(a: Records, b: Records) -> bool:
    columns = all(np.array_equal(a.columns[k], b.columns[k], equal_nan=k == "tokens_per_iteration") for k in a.columns)
    tokens = all(
        np.array_equal(getattr(a, k), getattr(b, k)) for k in ("token_offsets", "t_token_ns", "n_tokens", "t_read_ns")
    )
    rest = all(
        getattr(a, k) == getattr(b, k)
        for k in ("epoch_ns", "texts", "errors", "response_ids", "final_events", "client")
    )
    return columns and tokens and rest


def test_arrays_and_back(make_records: Any) -> None:
    records = dataclasses.replace(
        make_records([{"sent": 1, "tokens": [2, 5]}, {"status": "stalled", "error": "quiet \u00e9"}]),
        texts=["a\u4e2d", ""],
        response_ids=["x-0", ""],
        final_events=[b'{"usage":\xff}', b""],
        client={"n_events": 2, "workers": [{"busy_ns": 3}]},
    )
    assert same(from_arrays(to_arrays(records)), records)


def test_arrays_without_tokens_and_with_a_column_of_a_later_version(make_records: Any) -> None:
    records = make_records([{"sent": 1, "tokens": [2, 5]}])
    arrays = to_arrays(records, with_tokens=False) | {"of_tomorrow": np.zeros(1)}
    del arrays["resent"]
    back = from_arrays(arrays)
    assert back.n_events == 0
    assert back.columns["osl"].tolist() == [2]
    assert back.columns["resent"].tolist() == [0]
