"""The record of a case: read back as it was, and no JSON that breaks the reader."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.perftest.case_makers import NOON, make_case, make_label, make_outcome

from tokenclock.errors import UsageError
from tokenclock.perftest.case_file import NAME, read_case_file, write_case_file
from tokenclock.perftest.outcome import Cell, Ran

CASE = make_case(make_label())
RAN = Ran(
    "throughput",
    ("tokenclock", "throughput"),
    2,
    None,
    NOON,
    NOON,
    Path("/elsewhere/x.log"),
    None,
    True,
    "not run: x",
    (Cell("n", "[1,2]", ("INFERENCE_TIME",), 8, (1, None)),),
)


def test_a_record_is_read_back(tmp_path: Path) -> None:
    write_case_file(make_outcome(tmp_path), [RAN])
    assert read_case_file(tmp_path / NAME, CASE) == [RAN]
    assert read_case_file(tmp_path / NAME, make_case(make_label("other"))) is None


def test_a_record_of_another_version(tmp_path: Path) -> None:
    write_case_file(make_outcome(tmp_path), [RAN])
    path = tmp_path / NAME
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(UsageError, match="is of version 2, expected 1"):
        read_case_file(path, CASE)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["what", "cells", "repeat"]), inner),
    max_leaves=8,
)


@given(commands=_JSON, broken=st.sampled_from(["argv", "started", "cells", "log", "repeat"]), value=_JSON)
def test_any_json_is_a_record_or_one_line(commands: object, broken: str, value: object) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_case_file(make_outcome(folder), [RAN])
        path = folder / NAME
        whole = json.loads(path.read_text())
        entry = {**whole["commands"][0], broken: value}
        for content in ({**whole, "commands": commands}, {**whole, "commands": [entry]}, commands):
            path.write_text(json.dumps(content))
            said = ""
            try:
                read_case_file(path, CASE)
            except UsageError as error:
                said = str(error)
            assert "\n" not in said
