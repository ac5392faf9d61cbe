from __future__ import annotations

import numpy as np

from tokenclock.records import MISSING_NS, STATUS_NAMES, empty_columns
from tokenclock.serving.unrecognised import Events, read_unrecognised


def one_row(status: str = "ok") -> dict[str, np.ndarray]:
    columns = empty_columns(2)
    columns["status"][:] = STATUS_NAMES.index(status)
    columns["t_first_token_ns"][0] = columns["t_last_token_ns"][0] = 100
    return columns


def one_event() -> Events:
    return Events(np.array([0, 1, 1]), np.array([100]), np.array([1], dtype=np.int32), np.array([105]))


def test_content_in_parts_becomes_a_token_event_in_its_place() -> None:
    columns, errors, osl = one_row(), {}, np.array([1, 0], dtype=np.int32)
    parts = b'{"choices":[{"delta":{"content":[{"type":"text","text":"hi"}]}}]}'
    events, n = read_unrecognised([(0, 90, 91, parts), (1, 70, 71, parts)], columns, one_event(), errors, osl)
    assert n == 2
    assert events.offsets.tolist() == [0, 2, 3]
    assert events.t_token_ns.tolist() == [90, 100, 70]
    assert events.t_read_ns.tolist() == [91, 105, 71]
    assert events.n_tokens.tolist() == [1, 1, 1]
    assert columns["t_first_token_ns"].tolist() == [90, 70]
    assert columns["t_last_token_ns"].tolist() == [100, 70]
    assert osl.tolist() == [2, 1]
    assert errors == {}


def test_what_is_no_json_makes_an_ok_row_a_protocol_error() -> None:
    columns, errors = one_row(), {}
    events, n = read_unrecognised([(1, 70, 71, b"<html>")], columns, one_event(), errors, np.zeros(2, np.int32))
    assert n == 0
    assert events.offsets.tolist() == [0, 1, 1]
    assert STATUS_NAMES[columns["status"][1]] == "protocol_error"
    assert errors == {1: "event is not JSON: <html>"}


def test_a_row_that_failed_already_keeps_its_kind() -> None:
    columns, errors = one_row("truncated"), {0: "cut"}
    read_unrecognised([(0, 70, 71, b"{")], columns, one_event(), errors, np.zeros(2, np.int32))
    assert STATUS_NAMES[columns["status"][0]] == "truncated"
    assert errors == {0: "cut"}


def test_json_without_content_changes_nothing() -> None:
    columns, osl = one_row(), np.zeros(2, np.int32)
    for data in (b'{"ping":1}', b"[]", b'"text"', b'{"choices":[3]}', b'{"choices":[{"delta":{"content":[]}}]}'):
        _, n = read_unrecognised([(1, 70, 71, data)], columns, one_event(), {}, osl)
        assert n == 0
    assert columns["t_first_token_ns"][1] == MISSING_NS
    assert osl.tolist() == [0, 0]
