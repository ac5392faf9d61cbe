"""The raw profile of genai-perf: its requests with their instants; what it does not hold stays missing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.errors import UsageError
from tokenclock.readers.perf_analyzer_profile import read_raw_profile
from tokenclock.records import MISSING_NS

GOLDEN = Path(__file__).parents[1] / "golden" / "perf_analyzer_profile.json"
MS = 1_000_000
DAY = 1_700_000_000 * 1000 * MS


def test_each_request_by_hand() -> None:
    found = read_raw_profile(GOLDEN)
    records, columns = found.records, found.records.columns
    assert (found.models, found.endpoint_type, found.backend) == (("org/m",), "chat", "openai-chat")
    assert (found.streaming, found.mode, found.value) == (True, "concurrency", 2.0)
    assert records.client == {"epoch_realtime_ns": DAY, "wall_ns": 60 * MS, "interrupted": False}
    assert (columns["t_sent_ns"] // MS).tolist() == [0, 5, 50]
    # 0: the role alone is no token, two events came together, usage and [DONE] are none
    # 1: reasoning is one; an event in two pieces came when its second did
    assert records.token_offsets.tolist() == [0, 2, 4, 4]
    assert (records.t_token_ns // MS).tolist() == [20, 30, 25, 45]
    assert (columns["t_first_byte_ns"] // MS).tolist() == [10, 25, 60]
    assert (columns["t_done_ns"] // MS).tolist() == [40, 45, 60]
    assert columns["osl"].tolist() == [5, -1, -1]  # the server's count, or none
    assert columns["osl_source"].tolist() == [1, 0, 0]
    assert columns["isl_server"].tolist() == [9, -1, -1]
    assert columns["isl_requested"].tolist() == [-1, -1, -1]
    assert records.ok.tolist() == [True, True, False]
    assert columns["t_first_token_ns"][2] == MISSING_NS
    assert records.errors == {2: '{"message": "out of memory"}'}


def test_our_own_raw_profile_reads_back_to_the_same_instants() -> None:
    """Requests of 3 to 6 events, 1.2 s to the first and 25 ms apart; two of them were written without their text."""
    records = read_raw_profile(GOLDEN.with_name("genai_perf_profile.json")).records
    columns = records.columns
    assert records.ok.all()
    assert (columns["t_sent_ns"] // MS).tolist() == [0, 3, 4500, 4600]
    assert ((columns["t_first_token_ns"] - columns["t_sent_ns"]) // MS).tolist() == [1200] * 4
    assert set((np.diff(records.t_token_ns[:4]) // MS).tolist()) == {25}
    assert (np.diff(records.token_offsets)).tolist()[:3] == [4, 5, 6]


def test_a_tokenizer_counts_where_the_server_did_not() -> None:
    columns = read_raw_profile(GOLDEN, len).records.columns
    assert columns["osl"].tolist() == [5, 4, -1]  # "hm" and "ab"
    assert columns["osl_source"].tolist() == [1, 2, 0]


def change(tmp_path: Path, **request: Any) -> Path:
    """The golden file with other keys in its first request; None takes one away."""
    found = json.loads(GOLDEN.read_text("utf-8"))
    requests = found["experiments"][0]["requests"]
    requests[0] = {key: value for key, value in {**requests[0], **request}.items() if value is not None}
    path = tmp_path / "profile_export.json"
    path.write_text(json.dumps(found), "utf-8")
    return path


def test_one_whole_answer_has_no_stream(tmp_path: Path) -> None:
    reply = json.dumps({"choices": [{"message": {"content": "abc"}}], "usage": {"completion_tokens": 2}}, indent=1)
    found = json.loads(GOLDEN.read_text("utf-8"))
    found["experiments"][0]["requests"] = [
        {"timestamp": DAY, "response_timestamps": [DAY + MS], "response_outputs": [{"response": reply}]}
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(found), "utf-8")
    raw = read_raw_profile(path)
    assert (raw.streaming, raw.models, raw.records.columns["osl"].tolist()) == (False, (), [2])
    assert raw.records.columns["t_last_token_ns"].tolist() == [MS]


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        ({"timestamp": 5, "response_timestamps": [6, 7, 8, 9]}, "instants are not ns since 1970 but 5: no clock"),
        ({"timestamp": None}, "got request 0 with something missing or wrong: 'timestamp'"),
        ({"response_timestamps": [DAY + 2, DAY + 1, DAY + 3, DAY + 4]}, "wrong: response_timestamps"),
        ({"response_timestamps": []}, "wrong: response_timestamps"),
        ({"response_outputs": [{"response": "data: {}\n\n"}]}, "wrong: response_outputs"),
        ({"response_outputs": [{"response": "data: {"}] * 4}, "wrong: "),
        ({"response_outputs": [1, 2, 3, 4]}, "wrong: "),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, request_: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_raw_profile(change(tmp_path, **request_))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_endpoint_is_refused(tmp_path: Path) -> None:
    found = json.loads(GOLDEN.read_text("utf-8"))
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**found, "endpoint": "v2/models/m/infer"}), "utf-8")
    with pytest.raises(UsageError, match=r"endpoint that ends in chat/completions, .*, got v2/models/m/infer"):
        read_raw_profile(path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    key=st.sampled_from(["timestamp", "request_inputs", "response_timestamps", "response_outputs"]),
    value=_JSON | st.lists(st.fixed_dictionaries({"response": st.text(max_size=30) | _JSON}), min_size=4, max_size=4),
)
def test_whatever_stands_there_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: Any
) -> None:
    path = change(tmp_path_factory.mktemp("any"), **{key: value})
    with contextlib.suppress(UsageError):
        read_raw_profile(path)
